"""What servers and Sentinels report, read."""

from gateway.sessions.redis.replication import read_opinion, read_replication

INFO = b"""# Replication
role:master
connected_slaves:2
slave0:ip=10.0.0.2,port=6379,state=online,offset=12,lag=3
slave1:ip=10.0.0.3,port=6380,state=wait_bgsave,offset=0,lag=0
master_replid:0a1b
""".replace(b"\n", b"\r\n")


def test_replicas_are_online_or_being_filled() -> None:
    seen = read_replication(INFO)

    assert (seen.role, seen.replid, seen.lag) == ("master", "0a1b", 3)
    assert seen.online == {("10.0.0.2", 6379)}
    assert seen.syncing == {("10.0.0.3", 6380)}


def test_a_replica_reports_whether_it_has_its_master() -> None:
    seen = read_replication(b"role:slave\r\nmaster_link_status:down\r\n")

    assert (seen.role, seen.link_up) == ("slave", False)


def test_junk_is_read_as_a_server_alone() -> None:
    assert read_replication(b"\xff:\r\nslave0:x\r\nslavex:y").online == frozenset()


def test_an_opinion_names_the_master_and_its_replicas() -> None:
    master = [b"config-epoch", b"7", b"num-other-sentinels", b"2",
              b"down-after-milliseconds", b"3000"]  # fmt: skip
    replica = [b"ip", b"10.0.0.2", b"port", b"6379", b"flags", b"s_down,slave",
               b"s-down-time", b"1500", b"info-refresh", b"40"]  # fmt: skip

    opinion = read_opinion(5.0, [b"10.0.0.1", b"6379"], master, [replica])

    assert opinion is not None
    assert (opinion.place, opinion.epoch, opinion.sentinels) == (
        ("10.0.0.1", 6379),
        7,
        3,
    )
    assert opinion.down_after == 3.0
    (known,) = opinion.replicas
    assert (known.place, known.down, known.answered) == (("10.0.0.2", 6379), 1.5, True)


def test_a_sentinel_that_knows_no_such_master_has_no_opinion() -> None:
    assert read_opinion(0.0, None, ValueError("No such master"), []) is None
