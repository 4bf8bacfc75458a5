"""A window is void for each reason that the rules name, and for none on a quiet board."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from edgedyno.agent.host.proc import TICK_SECONDS
from edgedyno.agent.host.quota import Quota, quota_folders, read_quota, read_quota_throttles
from edgedyno.agent.measure import snapshot, validity
from edgedyno.agent.measure.clocks import ClockState, held_down
from edgedyno.agent.measure.foreign import ForeignLoad
from edgedyno.agent.measure.validity import Observation, Watch, combine
from edgedyno.core.result import Conditions, Validity
from tests.agent.boards import board, copy_board, write

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

POLICY = "rootfs/sys/devices/system/cpu/cpufreq/policy0"
TICKS = round(1 / TICK_SECONDS)


class Clock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.wall_offset = 5e8

    def monotonic(self) -> float:
        """Stand for time.monotonic."""
        return self.now

    def perf_counter(self) -> float:
        """Stand for time.perf_counter."""
        return self.now

    def time(self) -> float:
        """Stand for time.time."""
        return self.now + self.wall_offset


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Replace the clock of the watch, and the CPU time of this process, which is taken off the foreign one."""
    fake = Clock()
    monkeypatch.setattr(snapshot, "time", fake)
    monkeypatch.setattr(validity, "time", fake)
    monkeypatch.setattr(snapshot, "os", SimpleNamespace(times=lambda: (0.0, 0.0)))
    return fake


def stat(tree: Path, *, busy: float = 0.0, steal: float = 0.0, cpus: int = 4) -> None:
    """Write /proc/stat with seconds of busy and stolen time on each CPU."""
    lines = [
        f"cpu{cpu} {round(busy * TICKS)} 0 0 9999 0 0 0 {round(steal * TICKS)} 0 0" for cpu in range(cpus)
    ]
    write(tree / "rootfs/proc/stat", "\n".join(["cpu  1 2 3", *lines, "intr 1 2", ""]))


def observe(tree: Path, clock: Clock, change: Callable[[], object], seconds: float = 1.0) -> Observation:
    """Watch CPUs 0 to 3 of a recorded board over a window in which `change` happens."""
    watch = Watch(tree, cpus=[0, 1, 2, 3])
    watch.start()
    clock.now += seconds
    change()
    return watch.stop()


def _nothing() -> None:
    return None


def test_a_quiet_recorded_board_is_valid(tmp_path: Path, clock: Clock) -> None:
    tree = copy_board("x86-rapl", tmp_path)
    stat(tree)
    seen = observe(tree, clock, _nothing)
    assert seen.validity.valid
    assert seen.validity.reasons == []
    assert seen.conditions.governor == {f"policy{n}": "powersave" for n in range(4)}
    assert seen.conditions.frequency_hz["policy0"] == 2.9e9
    assert seen.conditions.temperature_celsius == {"x86_pkg_temp": 52.0}
    assert seen.conditions.throttled is False
    assert seen.conditions.pressure == {"cpu_some": 0.0, "memory_some": 0.0, "io_some": 0.0}


def test_a_machine_without_sensors_is_valid_and_says_what_it_cannot_check(clock: Clock) -> None:
    watch = Watch(board("vm-arm64-altra"), cpus=[0, 1])
    watch.start()
    clock.now += 1
    seen = watch.stop()
    assert seen.validity.valid
    assert {text.split(":")[0] for text in seen.validity.not_checkable} == {
        "throttling",
        "clock",
        "governor",
        "power mode",
        "temperature",
        "pressure stall",
        "memory pressure",
        "CPU quota",
        "foreign CPU use",
        "steal",
        "swap",
    }
    assert seen.conditions.throttled is None


@pytest.mark.parametrize(
    ("name", "file", "text", "reason"),
    [
        (
            "x86-rapl",
            "sys/devices/system/cpu/cpu2/thermal_throttle/core_throttle_count",
            "3",
            "cpu2 core moved from 0",
        ),
        (
            "jetson-orin-nano",
            "sys/class/hwmon/hwmon3/oc3_event_cnt",
            "37",
            "oc3_event_cnt moved from 0 to 37",
        ),
        ("rpi5", "sys/class/hwmon/hwmon3/in0_lcrit_alarm", "1", "flag set: undervoltage alarm"),
        ("rpi4b", "sys/devices/platform/soc/soc:firmware/get_throttled", "50005", "flag set: undervoltage"),
        (
            "rpi4b",
            "sys/devices/platform/soc/soc:firmware/get_throttled",
            "40000",
            "throttled since boot moved",
        ),
        ("rock-5b", "sys/class/thermal/cooling_device1/cur_state", "2", "flag set: thermal-cpufreq-1"),
        (
            "rpi4b",
            "sys/devices/system/cpu/cpufreq/policy0/scaling_governor",
            "powersave",
            "governor of policy0",
        ),
        (
            "rpi4b",
            "sys/devices/system/cpu/cpufreq/policy0/scaling_max_freq",
            "1200000",
            "clock limit of policy0 fell",
        ),
        (
            "jetson-orin-nano",
            "var/lib/nvpmodel/status",
            "pmode:0003",
            "power mode changed from MAXN_SUPER to 7W",
        ),
    ],
)
def test_a_board_that_throttles(
    tmp_path: Path, clock: Clock, name: str, file: str, text: str, reason: str
) -> None:
    tree = copy_board(name, tmp_path)
    seen = observe(tree, clock, lambda: write(tree / "rootfs" / file, text))
    assert not seen.validity.valid
    assert any(reason in found for found in seen.validity.reasons), seen.validity.reasons


def test_undervoltage_by_vcgencmd(tmp_path: Path, clock: Clock) -> None:
    tree = copy_board("rpi5", tmp_path)
    file = tree / "bin-output/vcgencmd_get_throttled.txt"
    watch = Watch(tree, cpus=[0])
    watch.start()
    clock.now += 1
    file.write_text("throttled=0x50005\n")
    time.sleep(0.55)  # vcgencmd is asked twice a second at most, by the real clock
    assert "throttle flag set: undervoltage" in watch.stop().validity.reasons


def test_a_held_clock_that_falls(tmp_path: Path, clock: Clock) -> None:
    tree = copy_board("rpi4b", tmp_path)
    write(tree / POLICY / "scaling_governor", "performance")
    seen = observe(tree, clock, lambda: write(tree / POLICY / "scaling_cur_freq", "1500000"))
    assert seen.validity.reasons == ["clock of policy0 fell from 1800 to 1500 MHz (bound 5%)"]


def test_a_governor_that_moves_the_clock_is_not_blamed_but_named(tmp_path: Path, clock: Clock) -> None:
    tree = copy_board("rpi4b", tmp_path)
    seen = observe(tree, clock, lambda: write(tree / POLICY / "scaling_cur_freq", "600000"))
    assert seen.validity.valid
    assert "clock within the window: governor ondemand changes it by design" in seen.validity.not_checkable


def test_steal(tmp_path: Path, clock: Clock) -> None:
    tree = copy_board("x86-rapl", tmp_path)
    stat(tree)
    seen = observe(tree, clock, lambda: stat(tree, steal=0.1))
    assert seen.validity.reasons == ["the hypervisor took 10.0% of the cores (bound 2%)"]


def test_foreign_load(tmp_path: Path, clock: Clock) -> None:
    tree = copy_board("x86-rapl", tmp_path)
    stat(tree)
    seen = observe(tree, clock, lambda: stat(tree, busy=0.25))
    assert [text for text in seen.validity.reasons if "other processes took 100% of one CPU" in text]
    assert seen.conditions.foreign_cpu_ratio == pytest.approx(0.25, abs=0.01)


def test_the_workers_own_time_is_not_foreign(tmp_path: Path, clock: Clock) -> None:
    tree = copy_board("x86-rapl", tmp_path)

    stat(tree)
    worker(tree, busy=5.0)
    watch = Watch(tree, cpus=[0, 1, 2, 3])
    watch.start([77])
    clock.now += 1
    stat(tree, busy=1.0)
    worker(tree, busy=9.0)
    seen = watch.stop([77])
    assert seen.validity.valid
    assert seen.conditions.foreign_cpu_ratio == pytest.approx(0.0, abs=0.01)


def test_a_worker_that_was_not_known_at_the_start_gives_no_judgement(tmp_path: Path, clock: Clock) -> None:
    tree = copy_board("x86-rapl", tmp_path)
    stat(tree)
    write(tree / "rootfs/proc/77/stat", "77 (w) S " + "0 " * 14)
    watch = Watch(tree, cpus=[0, 1, 2, 3])
    watch.start()
    clock.now += 1
    stat(tree, busy=1.0)
    seen = watch.stop([77])
    assert seen.validity.valid
    assert "foreign CPU use: the worker's own CPU time is not known" in seen.validity.not_checkable
    watch.start()
    clock.now += 1
    stat(tree, busy=2.0)
    assert not watch.stop().validity.valid


def test_pressure_swap_and_a_stepped_clock(tmp_path: Path, clock: Clock) -> None:
    tree = copy_board("x86-rapl", tmp_path)
    write(tree / "rootfs/proc/vmstat", "pswpin 10\npswpout 0\n")

    def change() -> None:
        write(tree / "rootfs/proc/pressure/cpu", "some avg10=0 avg60=0 avg300=0 total=1634567\n")
        write(tree / "rootfs/proc/vmstat", "pswpin 10\npswpout 500\n")
        clock.wall_offset += 3600

    assert observe(tree, clock, change).validity.reasons == [
        "tasks waited for a CPU 40% of the time (bound 20%)",
        "500 pages were swapped (bound 64)",
        "the system clock was stepped by +3600.000 s",
    ]


def test_files_that_vanish_in_the_window_are_no_reason(tmp_path: Path, clock: Clock) -> None:
    tree = copy_board("jetson-orin-nano", tmp_path)
    stat(tree)

    def vanish() -> None:
        for path in (tree / "rootfs").rglob("*"):
            if path.is_file():
                path.unlink()

    seen = observe(tree, clock, vanish)
    assert not [text for text in seen.validity.reasons if "governor" not in text and "power mode" not in text]


def worker(
    tree: Path,
    *,
    busy: float = 0.0,
    faults: int = 0,
    delay: float = 0.0,
    forced: int = 0,
    threads: tuple[int, ...] = (77, 78),
) -> None:
    """Write what the kernel says about the worker 77; each thread waited for `delay` seconds."""
    fields = f"{'0 ' * 8}{faults} 0 {round(busy * TICKS)} 0 0 0"
    write(tree / "rootfs/proc/77/stat", f"77 (a ) b) S {fields}")
    for thread in threads:
        write(tree / f"rootfs/proc/77/task/{thread}/schedstat", f"1 {round(delay * 1e9)} 5")
        write(
            tree / f"rootfs/proc/77/task/{thread}/status",
            f"Name:\tx\nvoluntary_ctxt_switches:\t9\nnonvoluntary_ctxt_switches:\t{forced}\n",
        )


def test_threads_that_wait_for_a_cpu(tmp_path: Path, clock: Clock) -> None:
    tree = copy_board("x86-rapl", tmp_path)
    worker(tree, delay=5.0)
    watch = Watch(tree, cpus=[0, 1, 2, 3])
    watch.start([77])
    clock.now += 2
    worker(tree, busy=3.0, delay=5.1, forced=40)
    seen = watch.stop([77])
    assert seen.validity.reasons == [
        "the worker's threads waited 10% of one CPU's time for others to leave it (run delay, bound 5%)"
    ]
    assert seen.conditions.run_delay_ratio == pytest.approx(0.1)
    assert (seen.conditions.voluntary_switches, seen.conditions.involuntary_switches) == (0, 80)


def test_threads_that_fill_the_cores_queue_behind_each_other(tmp_path: Path, clock: Clock) -> None:
    tree = copy_board("x86-rapl", tmp_path)
    worker(tree)
    watch = Watch(tree, cpus=[0, 1])
    watch.start([77])
    clock.now += 1
    worker(tree, busy=1.9, delay=0.4)
    seen = watch.stop([77])
    assert seen.validity.valid
    assert "run delay: the worker's own threads fill the used cores" in seen.validity.not_checkable


def test_what_the_runner_used_itself_is_allowed_for(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = copy_board("x86-rapl", tmp_path)
    for own, affinity, valid in ((0.1, {0}, True), (0.1, {3}, False), (0.0, {0}, False)):
        used = [0.0]
        monkeypatch.setattr(snapshot, "os", SimpleNamespace(times=lambda used=used: (used[0], 0.0)))
        monkeypatch.setattr(
            validity, "os", SimpleNamespace(sched_getaffinity=lambda _, affinity=affinity: affinity)
        )
        worker(tree)
        watch = Watch(tree, cpus=[0])
        watch.start([77])
        clock.now += 1
        used[0] = own
        worker(tree, delay=0.06)
        assert watch.stop([77]).validity.valid is valid


def test_a_thread_that_began_in_the_window_counts_from_its_start(tmp_path: Path, clock: Clock) -> None:
    tree = copy_board("x86-rapl", tmp_path)
    worker(tree, delay=5.0, threads=(77,))
    watch = Watch(tree, cpus=[0])
    watch.start([77])
    clock.now += 1
    worker(tree, delay=5.0, threads=(77,))
    worker(tree, delay=0.2, threads=(79,))
    assert watch.stop([77]).conditions.run_delay_ratio == pytest.approx(0.2)


def test_a_kernel_without_schedstat_is_named(tmp_path: Path, clock: Clock) -> None:
    tree = copy_board("x86-rapl", tmp_path)
    worker(tree)
    for path in tree.glob("rootfs/proc/77/task/*/schedstat"):
        path.unlink()
    watch = Watch(tree, cpus=[0])
    watch.start([77])
    clock.now += 1
    seen = watch.stop([77])
    assert seen.conditions.run_delay_ratio is None
    assert "run delay: no schedstat of the worker's threads" in seen.validity.not_checkable


def test_memory_that_does_not_suffice(tmp_path: Path, clock: Clock) -> None:
    tree = copy_board("x86-rapl", tmp_path)
    worker(tree)
    write(tree / "rootfs/proc/pressure/memory", "some avg10=0 avg60=0 avg300=0 total=0\n")
    watch = Watch(tree, cpus=[0])
    watch.start([77])
    clock.now += 1
    worker(tree, faults=20)
    write(tree / "rootfs/proc/pressure/memory", "some avg10=0 avg60=0 avg300=0 total=100000\n")
    seen = watch.stop([77])
    assert seen.validity.reasons == [
        "tasks waited for memory 10% of the time (bound 2%)",
        "the worker waited for storage 20 times (major faults, bound 8)",
    ]
    assert seen.conditions.major_faults == 20


@pytest.mark.parametrize(
    ("groups", "folder", "limit"),
    [
        ("0::/system.slice/agent.service\n", "system.slice/agent.service", ("cpu.max", "150000 100000")),
        ("0::/../../of/the/host\n", ".", ("cpu.max", "150000 100000")),
        (
            "4:memory:/x\n3:cpu,cpuacct:/docker/1\n0::/\n",
            "cpu,cpuacct/docker/1",
            ("cpu.cfs_quota_us", "150000"),
        ),
    ],
)
def test_a_quota_that_stops_the_worker(
    tmp_path: Path, clock: Clock, groups: str, folder: str, limit: tuple[str, str]
) -> None:
    tree = copy_board("x86-rapl", tmp_path)
    base = tree / "rootfs/sys/fs/cgroup"
    write(tree / "rootfs/proc/self/cgroup", groups)
    if "cpuacct" not in folder:
        write(base / "cgroup.controllers", "cpu")
    write(base / folder / limit[0], limit[1])
    write(base / folder / "cpu.cfs_period_us", "100000")
    write(base / folder / "cpu.stat", "usage_usec 5\nnr_periods 3\nnr_throttled 3\n")
    folders = quota_folders(tree / "rootfs")
    assert folders is not None
    assert read_quota(folders) == Quota(1.5, str(base / folder))
    seen = observe(
        tree, clock, lambda: write(base / folder / "cpu.stat", "usage_usec 5\nnr_periods 9\nnr_throttled 5\n")
    )
    assert seen.validity.reasons == ["the control group's CPU quota stopped its processes 2 times"]
    assert seen.conditions.quota_throttles == 2


def test_no_quota_is_known_where_the_group_can_have_none(tmp_path: Path) -> None:
    write(tmp_path / "proc/self/cgroup", "0::/\n")
    write(tmp_path / "sys/fs/cgroup/cgroup.controllers", "cpu")
    write(tmp_path / "sys/fs/cgroup/cpu.stat", "usage_usec 5\n")
    folders = quota_folders(tmp_path)
    assert folders is not None
    assert read_quota(folders) is None
    assert read_quota_throttles(folders) == 0
    assert quota_folders(tmp_path / "elsewhere") is None


def test_load_on_the_sibling_of_a_used_core_is_load_on_that_core(tmp_path: Path, clock: Clock) -> None:
    tree = copy_board("x86-rapl", tmp_path)
    for cpu in range(4):
        folder = tree / f"rootfs/sys/devices/system/cpu/cpu{cpu}/topology"
        write(folder / "thread_siblings_list", f"{cpu % 2},{cpu % 2 + 2}")
    stat(tree)
    watch = Watch(tree, cpus=[0])
    watch.start()
    clock.now += 1
    lines = [f"cpu{cpu} {TICKS if cpu == 2 else 0} 0 0 9 0 0 0 0 0 0" for cpu in range(4)]
    write(tree / "rootfs/proc/stat", "\n".join([*lines, "intr 1", ""]))
    assert [text for text in watch.stop().validity.reasons if "100% of one CPU on the used cores" in text]


def test_load_on_other_cores_disturbs_when_there_is_much_of_it(tmp_path: Path, clock: Clock) -> None:
    tree = copy_board("rpi4b", tmp_path)

    def elsewhere(seconds: float) -> None:
        lines = [f"cpu{cpu} {round(seconds * TICKS) if cpu == 3 else 0} 0 0 9 0 0 0 0" for cpu in range(4)]
        write(tree / "rootfs/proc/stat", "\n".join([*lines, "intr 1", ""]))

    watch = Watch(tree, cpus=[0])
    for seconds, valid in ((0.2, True), (1.2, False)):
        elsewhere(0.0)
        watch.start()
        clock.now += 1
        elsewhere(seconds)
        seen = watch.stop()
        assert seen.validity.valid is valid, seen.validity.reasons
    assert "of one CPU on the other cores" in seen.validity.reasons[0]
    assert seen.conditions.foreign_cpu_ratio == 0.0
    assert seen.conditions.other_cores_ratio == pytest.approx(0.4)


def test_a_clock_that_is_held_down_although_its_cores_are_busy(tmp_path: Path, clock: Clock) -> None:
    tree = copy_board("rpi4b", tmp_path)
    stat(tree)
    watch = Watch(tree, cpus=[0, 1, 2, 3])
    watch.start()
    clock.now += 1
    stat(tree, busy=0.95)
    write(tree / POLICY / "scaling_cur_freq", "600000")
    write(tree / POLICY / "scaling_max_freq", "1800000")
    reasons = watch.stop().validity.reasons
    assert "clock of policy0 was at 600 of 1800 MHz though its cores were busy (bound 50%)" in reasons


def test_a_governor_that_means_to_be_slow_is_not_held_down() -> None:
    slow = ClockState("powersave", 6e8, 1.8e9, driver="cpufreq-dt")
    ramping = ClockState("powersave", 6e8, 1.8e9, driver="intel_pstate")
    boosted = ClockState("performance", 6e8, 1.8e9, boosts=True)
    states = {"slow": slow, "ramping": ramping, "boosted": boosted}
    found = held_down(states, dict.fromkeys(states, 1.0))
    assert [text.split()[2] for text in found] == ["ramping", "boosted"]
    assert held_down(states, dict.fromkeys(states, 0.5)) == []


def test_a_clock_that_sinks_by_little_in_each_window_has_sunk(tmp_path: Path, clock: Clock) -> None:
    tree = copy_board("rpi4b", tmp_path)
    write(tree / POLICY / "scaling_governor", "performance")
    watch = Watch(tree, cpus=[0])
    seen = []
    for megahertz in (1800, 1760, 1720, 1690):
        watch.start()
        clock.now += 1
        write(tree / POLICY / "scaling_cur_freq", str(megahertz * 1000))
        seen.append(watch.stop())
    assert [each.validity.valid for each in seen] == [True, True, True, False]
    merged = combine(seen).conditions
    assert merged.frequency_hz == {"policy0": 1.69e9}
    assert merged.frequency_before_hz == {"policy0": 1.8e9}
    assert merged.frequency_after_hz == {"policy0": 1.69e9}


def test_with_boost_the_clock_follows_the_number_of_busy_cores(tmp_path: Path, clock: Clock) -> None:
    tree = copy_board("rpi4b", tmp_path)
    write(tree / POLICY / "scaling_governor", "performance")
    write(tree / "rootfs/sys/devices/system/cpu/cpufreq/boost", "1")
    seen = observe(tree, clock, lambda: write(tree / POLICY / "scaling_cur_freq", "1500000"))
    assert seen.validity.valid
    assert "clock within the window: boost changes it by design" in seen.validity.not_checkable


def test_what_comes_and_goes_within_a_window_is_seen_by_polling(tmp_path: Path, clock: Clock) -> None:
    tree = copy_board("rock-5b", tmp_path)
    cooler = tree / "rootfs/sys/class/thermal/cooling_device1/cur_state"
    low = tree / POLICY / "scaling_cur_freq"
    usual = low.read_text()
    watch = Watch(tree, cpus=[0, 1, 2, 3])
    watch.poll()
    watch.start()
    for seconds, seen_between in ((0.1, False), (0.5, True)):
        clock.now += seconds
        write(cooler, "2")
        write(low, "300000")
        watch.poll()
        write(cooler, "0")
        write(low, usual)
        seen = watch.stop()
        assert seen.validity.valid is not seen_between
        assert (seen.conditions.frequency_hz["policy0"] == 3e8) is seen_between
        watch.start()
    assert seen.validity.reasons == ["throttle flag set: thermal-cpufreq-1 1"]


def test_stop_without_start() -> None:
    with pytest.raises(RuntimeError):
        Watch(board("vm-bare"), cpus=[0]).stop()


def test_short_windows_are_judged_together() -> None:
    load = ForeignLoad(cpu_count=1)
    # One tick of rounding in 0.1 s is no reason, however often it comes; 20 % of the time is, after a while.
    assert not any(load.judge(0.004, 0.1).reason for _ in range(100))
    verdicts = [load.judge(0.02, 0.1).reason for _ in range(60)]
    assert verdicts[0] is None
    assert verdicts[-1] is not None


def test_a_quiet_window_is_not_blamed_for_the_ones_before() -> None:
    load = ForeignLoad(cpu_count=1)
    for _ in range(20):
        load.judge(0.05, 0.1)
    assert load.judge(0.0, 0.1).reason is None


def test_rounding_is_no_foreign_load() -> None:
    load = ForeignLoad(cpu_count=4)
    assert load.judge(-0.02, 0.1) == (0.0, None)
    assert load.judge(0.03, 0.1).reason is None
    assert load.judge(None, 0.1) == (None, None)


def test_combine() -> None:
    good = Observation(
        Conditions(temperature_celsius={"soc": 50.0}, frequency_hz={"p": 2e9}), Validity(valid=True)
    )
    bad = Observation(
        Conditions(temperature_celsius={"soc": 80.0}, frequency_hz={"p": 1e9}, throttled=True),
        Validity(valid=False, reasons=["hot"], not_checkable=["x"]),
    )
    both = combine([good, bad, good])
    assert (both.validity.valid, both.validity.reasons, both.validity.not_checkable) == (
        False,
        ["hot"],
        ["x"],
    )
    assert both.conditions.temperature_celsius == {"soc": 80.0}
    assert both.conditions.frequency_hz == {"p": 1e9}
    assert both.conditions.throttled
    counted = [
        Observation(
            Conditions(swap_pages=2, throttle_counts={"a": 1}, steal_ratio=0.1), Validity(valid=True)
        ),
        Observation(Conditions(swap_pages=3, throttle_counts={"a": 2, "b": 1}), Validity(valid=True)),
    ]
    merged = combine(counted).conditions
    assert (merged.swap_pages, merged.throttle_counts, merged.steal_ratio) == (5, {"a": 3, "b": 1}, 0.1)
    assert merged.major_faults is None
    with pytest.raises(ValueError, match="at least one"):
        combine([])


def _burn_outside(cpu: int) -> int:
    """Load a CPU for three seconds from a grandchild: children of this process are taken to be workers."""
    burn = (
        f"import os,time\nos.sched_setaffinity(0,{{{cpu}}})\nend=time.time()+3\nwhile time.time()<end: pass"
    )
    # With no pipe of ours: `run` would wait until it is closed, and so until the load is over.
    start = (
        "import subprocess,sys\n"
        f"print(subprocess.Popen([sys.executable,'-c',{burn!r}],stdout=subprocess.DEVNULL,stderr=subprocess.DEVNULL).pid)"
    )
    done = subprocess.run([sys.executable, "-c", start], capture_output=True, check=True, timeout=30)
    return int(done.stdout)


def test_a_real_foreign_process_voids_a_window_here() -> None:
    cpu = min(os.sched_getaffinity(0))
    pid = _burn_outside(cpu)
    watch = Watch(cpus=[cpu])
    try:
        time.sleep(0.3)
        watch.start()
        time.sleep(0.5)
        seen = watch.stop()
    finally:
        os.kill(pid, 9)
    assert any("other processes took" in reason for reason in seen.validity.reasons)


def test_a_real_worker_that_has_to_share_its_core_was_delayed() -> None:
    cpu = min(os.sched_getaffinity(0))
    work = f"import os\nos.sched_setaffinity(0,{{{cpu}}})\nwhile True: pass"
    pid = _burn_outside(cpu)
    with subprocess.Popen([sys.executable, "-c", work]) as worker:
        watch = Watch(cpus=[cpu])
        try:
            time.sleep(0.3)
            watch.start([worker.pid])
            time.sleep(1.0)
            seen = watch.stop([worker.pid])
        finally:
            worker.kill()
            os.kill(pid, 9)
    assert any("run delay, bound 5%" in reason for reason in seen.validity.reasons)
    assert seen.conditions.run_delay_ratio is not None
    assert seen.conditions.involuntary_switches
