// The list of alerts. Every cell is text: {{ }} and bound attributes never become markup, and each address in `href`
// is made by the server and begins with /alert. A place keeps its element: at 100 alerts/s every second all rows are others,
// and 50 new elements are a jerk. No row moves while the focus is in the list, so it cannot come to be in another one.
export default {
  template: `
    <div role="table" class="alerts" aria-label="Alerts" :aria-busy="busy"
         @focusin="$emit('hold', true)" @focusout="unfocused"
         @pointerenter="$emit('hold', true)" @pointerleave="unpointed">
      <div role="rowgroup" class="head">
        <div role="row">
          <span role="columnheader">Time, UTC</span>
          <span role="columnheader">Score</span>
          <span role="columnheader">Entity</span>
          <span role="columnheader">Why: value, share of the score</span>
          <span role="columnheader">Verdict</span>
        </div>
      </div>
      <div role="rowgroup">
        <div v-for="(row, place) in rows" :key="place" role="row" class="alert" :class="row.verdict" :data-row="row.id">
          <span role="cell" class="time" :title="row.when">{{ row.time }}</span>
          <span role="cell" class="score" :title="'score ' + row.score + ', threshold ' + row.threshold">
            <span class="track" aria-hidden="true"><span :style="{ width: 100 * row.bar + '%' }"></span></span>
            <b>{{ row.times }}</b>
          </span>
          <span role="cell" class="who">
            <a :href="row.href" data-open>{{ row.key || row.name }}</a>
            <small>{{ row.key ? row.name + ' · ' : '' }}{{ row.model }}</small>
          </span>
          <span role="cell" class="why">
            <span v-for="one in row.reasons" class="reason">
              <span>{{ one.feature }}</span> <b>{{ one.value }}</b> <small>{{ one.share }}</small>
            </span>
          </span>
          <span role="cell" class="verdict" :title="row.by ? 'said ' + row.by : ''">
            <button v-for="(short, word) in words" type="button" :data-verdict="word" :class="word"
                    :aria-pressed="row.verdict === word ? 'true' : 'false'" :aria-label="word + ': ' + row.name"
                    @click="$emit('verdict', { id: row.id, word })">{{ short }}</button>
          </span>
        </div>
      </div>
    </div>`,
  props: { rows: Array, busy: Boolean },
  data: () => ({ words: { fraud: "fraud", legitimate: "legitimate", unsure: "unsure" } }),
  // Rows must not move under a person's hands: what is pressed is what was read.
  methods: {
    unfocused(event) {
      if (!this.$el.contains(event.relatedTarget) && !this.$el.matches(":hover")) this.$emit("hold", false);
    },
    unpointed() {
      if (!this.$el.contains(document.activeElement)) this.$emit("hold", false);
    },
  },
};
