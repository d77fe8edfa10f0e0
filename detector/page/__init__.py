"""Reports as pages: what they hold, how their pictures look, and the HTML. The detector itself never imports them."""
