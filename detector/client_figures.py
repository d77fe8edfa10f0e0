"""librdkafka's statistics as metrics, under `kafka_`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from detector.families import Family
from detector.kafka import BrokerFigures, ClientFigures

MICROSECONDS = 1e-6
CONSUMER, PRODUCER = "consumer", "producer"
"""Names of clients: of the one that shares a topic with its group, and of the one that sends."""

Samples = list[tuple[tuple[str, ...], float]]


def families(clients: Mapping[str, ClientFigures]) -> Iterator[Family]:
    """Metrics of each client, of each broker that it is connected to, and of each partition that it reads."""
    yield from _of_brokers(clients)
    yield from _of_clients(clients)
    lags: Samples = [
        ((client, str(partition)), one.lag)
        for client, figures in clients.items()
        for partition, one in sorted(figures.partitions().items())
        if one.lag is not None
    ]
    meaning = "Messages between the last one that was taken from the client and the partition's end."
    yield Family("gauge", "kafka_fetch_lag_messages", meaning, ["client", "partition"], lags)
    shares = clients.get(CONSUMER)
    rebalances: Samples = [((), shares.cgrp.rebalance_cnt if shares.cgrp else 0)] if shares else []
    yield Family("counter", "kafka_rebalances", "Times that the group was shared out anew.", [], rebalances)


def _of_brokers(clients: Mapping[str, ClientFigures]) -> Iterator[Family]:
    seen = [(client, broker) for client, figures in clients.items() for broker in figures.cluster()]

    def family(kind: str, name: str, meaning: str, value: Callable[[BrokerFigures], float | None]) -> Family:
        values = [((client, broker.label), value(broker)) for client, broker in seen]
        told: Samples = [(labels, one) for labels, one in values if one is not None]
        return Family(kind, f"kafka_broker_{name}", meaning, ["client", "broker"], told)

    yield family("gauge", "up", "1 where the client is connected to the broker, 0 where it tries to be.", _up)
    mean = "Mean time from a request to its answer, a fetch that waits for rows included."
    yield family("gauge", "rtt_seconds", mean, lambda one: one.rtt.avg * MICROSECONDS if one.rtt.cnt else None)
    most = "99th percentile of the time from a request to its answer."
    yield family("gauge", "rtt_p99_seconds", most, lambda one: one.rtt.p99 * MICROSECONDS if one.rtt.cnt else None)
    yield family(
        "counter", "errors", "Requests and answers that failed on the way.", lambda one: one.txerrs + one.rxerrs
    )
    yield family("counter", "timeouts", "Requests that were not answered in time.", lambda one: one.req_timeouts)
    yield family("counter", "disconnects", "Connections that ended.", lambda one: one.disconnects)


def _up(broker: BrokerFigures) -> float:
    return float(broker.up)


def _of_clients(clients: Mapping[str, ClientFigures]) -> Iterator[Family]:
    def family(kind: str, name: str, meaning: str, value: Callable[[ClientFigures], float]) -> Family:
        samples: Samples = [((client,), value(figures)) for client, figures in clients.items()]
        return Family(kind, f"kafka_{name}", meaning, ["client"], samples)

    yield family("gauge", "queue_messages", "Messages that were fetched and not taken, or wait to be sent.", _messages)
    yield family("gauge", "queue_bytes", "Their bytes.", _bytes)
    yield family("counter", "sent_bytes", "Bytes sent to brokers.", lambda one: one.tx_bytes)
    yield family("counter", "received_bytes", "Bytes received from them.", lambda one: one.rx_bytes)
    when = "When the client told its statistics last, s since 1970."
    yield family("gauge", "statistics_timestamp_seconds", when, lambda one: one.time)


def _messages(figures: ClientFigures) -> float:
    return figures.msg_cnt + max((one.fetchq_cnt for one in figures.partitions().values()), default=0)


def _bytes(figures: ClientFigures) -> float:
    return figures.msg_size + max((one.fetchq_size for one in figures.partitions().values()), default=0)
