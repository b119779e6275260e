"""`bigbird schedule` on Vertex AI: there is never a second schedule of a name, and never none."""

import datetime
import json

import pytest
from google.cloud import aiplatform_v1

from bigbird.support.errors import InputError
from bigbird_pipelines.schedule import make_timing, next_times
from tests.cloud import PARENT, parsed, task

SST2 = ("--task", "sst2", "--data", "gs://bucket/SST-2", "--recipe", "small_sst2")
MONDAYS = ("schedule", "create", "weekly", "--cron", "0 3 * * 1", "--time-zone", "Europe/Paris", *SST2)


def the_schedule(cloud):
    (stored,) = cloud.schedules.values()
    return parsed(aiplatform_v1.Schedule, {k: v for k, v in stored.items() if k not in ("nextRunTime", "createTime")})


def test_a_schedule_is_the_apis_and_runs_one_at_a_time(cloud, bigbird):
    result = bigbird(*MONDAYS, "--start", "2027-01-01", "--end", "2027-06-30T12:00")
    stored = the_schedule(cloud)
    assert stored.display_name == "weekly"
    assert stored.cron == "TZ=Europe/Paris 0 3 * * 1"
    assert stored.start_time.isoformat() == "2026-12-31T23:00:00+00:00"  # midnight in Paris
    assert stored.end_time.isoformat() == "2027-06-30T10:00:00+00:00"
    assert (stored.max_concurrent_run_count, stored.max_concurrent_active_run_count, stored.allow_queueing) == (
        1,
        1,
        False,
    )
    request = stored.create_pipeline_job_request
    assert request.parent == PARENT
    assert request.pipeline_job.display_name == "weekly"
    assert request.pipeline_job.runtime_config.parameter_values["data"] == "gs://bucket/SST-2"
    assert "schedule weekly: created" in result.stdout
    assert "next: Mon 2027-01-04 03:00 CET" in result.stdout


def test_the_same_command_again_changes_nothing(cloud, bigbird):
    bigbird(*MONDAYS)
    assert "nothing to change" in bigbird(*MONDAYS).stdout
    assert len(cloud.asked("POST .*schedules$")) == 1
    assert not cloud.asked("PATCH|DELETE")


def test_other_times_change_the_schedule_in_place(cloud, bigbird):
    bigbird(*MONDAYS)
    later = [word if word != "0 3 * * 1" else "30 4 * * 2" for word in MONDAYS]
    assert "times changed" in bigbird(*later, "--end", "2027-06-30").stdout
    assert list(cloud.schedules) == ["1"]
    assert the_schedule(cloud).cron == "TZ=Europe/Paris 30 4 * * 2"
    (change,) = cloud.asked("PATCH")
    assert change.query["updateMask"] == "cron,endTime"
    assert not cloud.asked("DELETE")


def test_a_bound_that_is_taken_away_replaces_it_since_the_api_cannot_unset_it(cloud, bigbird):
    bigbird(*MONDAYS, "--end", "2027-06-30")
    assert "replaced" in bigbird(*MONDAYS).stdout
    assert list(cloud.schedules) == ["2"]
    assert not the_schedule(cloud).end_time


def order(cloud):
    return [
        str(request).replace(f"/v1/{PARENT}", "") for request in cloud.requests if request.method in ("POST", "DELETE")
    ]


def test_other_work_replaces_it_the_new_one_first(cloud, bigbird):
    bigbird(*MONDAYS)
    assert "replaced" in bigbird(*MONDAYS, "--epochs", "2").stdout
    assert order(cloud) == ["POST /schedules", "POST /schedules", "DELETE /schedules/1"]
    assert list(cloud.schedules) == ["2"]
    assert (
        the_schedule(cloud)
        .create_pipeline_job_request.pipeline_job.runtime_config.parameter_values["overrides"]
        .startswith("trainer.epochs=2.0,")
    )


def test_a_paused_schedule_stays_paused_when_it_is_replaced(cloud, bigbird):
    bigbird(*MONDAYS)
    bigbird("schedule", "pause", "weekly")
    result = bigbird(*MONDAYS, "--epochs", "2")
    assert [stored["state"] for stored in cloud.schedules.values()] == ["PAUSED"]
    assert "it is paused, as before" in result.stdout
    assert order(cloud)[-2:] == ["POST /schedules/2:pause", "DELETE /schedules/1"]


def test_a_network_that_breaks_for_a_moment_leaves_exactly_one(cloud, bigbird):
    bigbird(*MONDAYS)
    cloud.trouble("DELETE", 3, status=None)
    assert "replaced" in bigbird(*MONDAYS, "--epochs", "2").stdout
    assert list(cloud.schedules) == ["2"]
    cloud.trouble("DELETE", 1, status=None, handled=True)  # deleted, but the answer is lost
    bigbird(*MONDAYS, "--epochs", "3")
    assert list(cloud.schedules) == ["3"]
    cloud.trouble("POST .*schedules$", 1, status=None, handled=True)  # made, but the answer is lost
    bigbird(*MONDAYS, "--epochs", "4")
    assert list(cloud.schedules) == ["4"]


def test_an_old_schedule_that_cannot_be_deleted_stays_alone(cloud, bigbird):
    bigbird(*MONDAYS)
    cloud.trouble("DELETE .*/1$", 99, status=403, message="Permission denied")
    result = bigbird(*MONDAYS, "--epochs", "2", code=4)
    assert "The new schedule was deleted again; the old one is as it was" in result.stderr
    assert list(cloud.schedules) == ["1"]


def test_a_new_schedule_that_is_refused_leaves_the_old_one(cloud, bigbird):
    bigbird(*MONDAYS)
    cloud.trouble("POST .*schedules$", 99, status=503)
    bigbird(*MONDAYS, "--epochs", "2", code=4)
    assert list(cloud.schedules) == ["1"]


def test_a_network_that_is_gone_half_way_says_so_and_the_next_command_leaves_one(cloud, bigbird):
    bigbird(*MONDAYS)
    cloud.trouble("DELETE", 10**6, status=None)
    result = bigbird(*MONDAYS, "--epochs", "2", code=4)
    assert "Now there may be two schedules weekly" in result.stderr
    assert "schedules/1" in result.stderr and "schedules/2" in result.stderr
    assert "warning: there are several schedules weekly" in bigbird("schedule", "list").stderr
    cloud.troubles.clear()
    result = bigbird(*MONDAYS, "--epochs", "2")
    assert "deleting an older schedule weekly that was left behind" in result.stderr
    assert "nothing to change" in result.stdout
    assert list(cloud.schedules) == ["2"]


def test_a_schedule_of_somebody_else_is_left_alone(cloud, bigbird):
    bigbird(*MONDAYS)
    del cloud.schedules["1"]["createPipelineJobRequest"]["pipelineJob"]["labels"]["bigbird-spec"]
    assert "there is one that bigbird did not make" in bigbird(*MONDAYS, code=2).stderr
    assert list(cloud.schedules) == ["1"]


def test_pause_resume_trigger_and_delete(cloud, bigbird):
    bigbird(*MONDAYS)
    bigbird("schedule", "pause", "weekly")
    assert cloud.schedules["1"]["state"] == "PAUSED"
    bigbird("schedule", "resume", "weekly", "--catch-up")
    assert (cloud.schedules["1"]["state"], cloud.schedules["1"]["catchUp"]) == ("ACTIVE", True)
    bigbird("schedule", "pause", "1")
    bigbird("schedule", "resume", "weekly")
    assert cloud.schedules["1"]["catchUp"] is False
    result = bigbird("schedule", "trigger", "weekly")
    ((identifier, job),) = cloud.jobs.items()
    wanted = dict(cloud.schedules["1"]["createPipelineJobRequest"]["pipelineJob"])
    assert {name: job[name] for name in wanted} == wanted
    assert (
        f"sent its run now\nhttps://console.cloud.google.com/vertex-ai/locations/europe-west4/pipelines/runs/{identifier}"
        in result.stdout
    )
    bigbird("schedule", "delete", "weekly")
    assert cloud.schedules == {}
    assert "there is none of this name; there are: none" in bigbird("schedule", "delete", "weekly", code=2).stderr


def test_list_and_show_tell_times_and_last_runs(cloud, bigbird):
    assert "there are no schedules" in bigbird("schedule", "list").stdout
    bigbird(*MONDAYS)
    (row,) = [line for line in bigbird("schedule", "list").stdout.splitlines() if "weekly" in line]
    assert row.split() == ["weekly", "active", "0", "3", "*", "*", "1", "Europe/Paris", "Mon", "2030-01-07", "02:00"]
    cloud.jobs["run-1"] = {
        "name": f"{PARENT}/pipelineJobs/run-1",
        "displayName": "weekly",
        "state": "PIPELINE_STATE_FAILED",
        "scheduleName": f"{PARENT}/schedules/1",
        "jobDetail": {"taskDetails": [task(1, "train", "FAILED", error="out of memory")]},
    }
    shown = bigbird("schedule", "show", "weekly").stdout
    assert "times     0 3 * * 1 (Europe/Paris)" in shown
    assert "next run  Mon 2030-01-07 02:00 UTC" in shown
    assert "run       weekly failed: step train failed, out of memory" in shown
    (described,) = json.loads(bigbird("schedule", "list", "--json").stdout)
    assert (described["name"], described["cron"], described["time_zone"]) == ("weekly", "0 3 * * 1", "Europe/Paris")


def test_a_dry_run_prints_the_schedule_and_sends_none(cloud, bigbird):
    printed = json.loads(bigbird(*MONDAYS, "--dry-run").stdout)
    assert not cloud.asked("POST|PATCH|DELETE")
    bigbird(*MONDAYS)
    (sent,) = cloud.asked("POST .*schedules")
    assert printed == {"parent": PARENT, "schedule": sent.body}


def test_a_path_may_hold_the_day(cloud, bigbird):
    today = f"{datetime.datetime.now(datetime.UTC):%Y%m%d}"
    for name in ("train.tsv", "dev.tsv"):
        cloud.objects[f"gs://bucket/days/{today}/{name}"] = b"x"
    bigbird(
        "schedule",
        "create",
        "daily",
        "--cron",
        "0 3 * * *",
        "--task",
        "sst2",
        "--data",
        "gs://bucket/days/{date:%Y%m%d}",
    )
    job = the_schedule(cloud).create_pipeline_job_request.pipeline_job
    assert job.runtime_config.parameter_values["data"] == "gs://bucket/days/{date:%Y%m%d}"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"cron": "0 3 * *"}, "--cron '0 3 \\* \\*': .*expected five fields"),
        ({"cron": "9" * 5000 + " 3 * * 1"}, "^--cron '9{100}': .{,400}$"),
        ({"cron": "0 25 * * 1"}, "--cron '0 25 .*: Bad hour"),
        ({"cron": "0 0 3 * * 1"}, "--cron .*has 6; expected five fields"),
        ({"cron": "0 3 L * *"}, "holds 'L'; expected digits"),
        ({"cron": "0 3 * * 1#2"}, "holds '#'"),
        ({"start": "0001-01-01", "time_zone": "Asia/Tokyo"}, "--start 0001-01-01: is not within the years 1 to 9999"),
        ({"cron": "0 3 32 * *"}, "--cron '0 3 32 .*: Bad day-of-month; expected five fields"),
        ({"cron": "0 3 * 13 *"}, "--cron '0 3 .*: Bad month; expected five fields"),
        ({"cron": "0 0 30 2 *"}, "--cron '0 0 30 2 \\*': matches no date: no month of '2' has a day of '30'"),
        ({"cron": "0 0 31 4,6 *"}, "matches no date: no month of '4,6' has a day of '31'"),
        ({"start": "Monday"}, "--start Monday: not a time"),
        ({"end": "2025-02-29"}, "--end 2025-02-29: not a time"),
        ({"end": "2020-01-01"}, "--end 2020-01-01: is in the past .it is 20.* UTC now."),
        ({"start": "2019-01-01", "end": "2020-01-01"}, "--end 2020-01-01: is in the past"),
        ({"start": "2190-01-01", "end": "2020-01-01"}, "--end 2020-01-01: is in the past"),
        ({"start": "2190-01-02", "end": "2190-01-01"}, "--end 2190-01-01: is not after --start 2190-01-02"),
        ({"start": "2190-01-02", "end": "2190-01-02"}, "--end 2190-01-02: is not after --start 2190-01-02"),
        (
            {"start": "2190-01-02", "end": "2190-01-03"},
            "matches no date after --start 2190-01-02 before --end 2190-01-03",
        ),
        ({"start": "9999-12-31"}, "matches no date after --start 9999-12-31"),
        (
            {"start": "9999-12-31T23:59:59", "time_zone": "Asia/Tokyo", "cron": "* * * * *"},
            "matches no date|within the years",
        ),
        ({"start": "9999-12-31T23:00+00:00", "time_zone": "Asia/Tokyo"}, "matches no date after --start"),
    ],
)
def test_times_that_cannot_be_meant_are_refused(given, message):
    arguments = {"cron": "0 3 * * 1", "time_zone": "UTC", "start": "", "end": "", "catch_up": False}
    with pytest.raises(InputError, match=message):
        make_timing(**(arguments | given))


@pytest.mark.parametrize(
    "name",
    [
        "Europe/Atlantis", "localtime", "posixrules", "Factory", "posix/Europe/Paris", "right/Europe/Paris", "Europe",
        "europe/paris", "../../etc/localtime", "/etc/localtime", "zone.tab", "", " UTC", "x" * 5000,
    ],
)  # fmt: skip
def test_what_is_no_place_with_a_time_of_its_own_is_no_time_zone(name):
    with pytest.raises(InputError, match="no such time zone") as caught:
        make_timing("0 3 * * 1", name, "", "", False)
    assert len(str(caught.value)) < 1000


def test_next_times_end_with_the_last_year_there_is():
    timing = make_timing("0 3 31 12 *", "UTC", "9998-01-01", "9999-12-31T23:59", False)
    assert [moment.year for moment in next_times(timing, 9)] == [9998, 9999]


def test_next_times_are_in_the_schedules_time_zone_over_a_change_of_clocks():
    timing = make_timing("30 3 * * *", "Europe/Paris", "2027-03-27", "2027-03-30", False)
    assert [moment.astimezone(datetime.UTC).strftime("%d %H:%M") for moment in next_times(timing, 9)] == [
        "27 02:30",
        "28 01:30",
        "29 01:30",
    ]


def test_catching_up_is_chosen_at_resuming_on_vertex(cloud, bigbird):
    assert "schedule resume --catch-up" in bigbird(*MONDAYS, "--catch-up", code=2).stderr


def test_an_old_schedule_that_was_deleted_although_nobody_said_so_leaves_the_new_one(cloud, bigbird):
    bigbird(*MONDAYS)
    cloud.trouble("DELETE .*/1$", 5, status=None, handled=True)
    assert "replaced" in bigbird(*MONDAYS, "--epochs", "2").stdout
    assert list(cloud.schedules) == ["2"]


def test_what_a_schedule_needs_later_may_come_later_and_is_warned_about(cloud, bigbird):
    cloud.models = set()
    result = bigbird(
        "schedule",
        "create",
        "daily",
        "--cron",
        "0 3 * * *",
        "--task",
        "sst2",
        "--data",
        "gs://bucket/{date}/SST-2",
        "--recipe",
        "small_sst2",
        "--init-checkpoint",
        "registry:bigbird-sst2",
        "--train-file",
        "gs://bucket/{date}.tsv",
    )
    for told in ("holds nothing yet", "has no such model yet", "no such file"):
        assert f"{told}" in result.stderr
    assert result.stderr.count("warning: ") == 3
    assert len(cloud.schedules) == 1


def test_the_commit_of_who_sends_it_is_no_other_work(cloud, bigbird, monkeypatch):
    bigbird(*MONDAYS)
    monkeypatch.setattr("bigbird_pipelines.remote.revision", lambda: "another")
    assert "nothing to change" in bigbird(*MONDAYS).stdout


@pytest.mark.parametrize("name", ["", "a/b", "x" * 101])
def test_a_name_that_cannot_be_one_is_refused(cloud, bigbird, name):
    assert f"schedule {name!r}: expected" in bigbird("schedule", "create", name, *MONDAYS[3:], code=2).stderr


def test_an_interrupted_replacement_leaves_the_old_one(cloud, bigbird, interrupted):
    bigbird(*MONDAYS)
    cloud.trouble("DELETE .*/1$", 1, status=None)
    bigbird(*MONDAYS, "--epochs", "2", code=130)
    assert list(cloud.schedules) == ["1"]


def test_an_interrupted_replacement_that_cannot_be_undone_says_so(cloud, bigbird, interrupted):
    bigbird(*MONDAYS)
    cloud.trouble("DELETE .*/1$", 1, status=None)
    cloud.trouble("DELETE .*/2$", 1, status=403)
    told = bigbird(*MONDAYS, "--epochs", "2", code=130).stderr
    assert "error: interrupted. Now there may be two schedules weekly: the old one, " in told
    assert sorted(cloud.schedules) == ["1", "2"]


@pytest.mark.parametrize(
    ("words", "call", "outcome"),
    [
        (MONDAYS[1:], "POST .*schedules$", "it may have been made or changed"),
        (("pause", "weekly"), "POST .*:pause$", "it may be paused"),
        (("resume", "weekly"), "POST .*:resume$", "it may be resumed"),
        (("delete", "weekly"), "DELETE .*schedules/1$", "it may be deleted"),
        (("trigger", "weekly"), "POST .*pipelineJobs$", "its run may have been sent"),
    ],
)
def test_ctrl_c_while_a_schedule_is_changed_says_what_may_be(cloud, bigbird, interrupted, words, call, outcome):
    if words[0] != "create":
        bigbird(*MONDAYS)
    cloud.trouble(call, 1, status=None, handled=True)
    told = bigbird("schedule", *words, code=130).stderr
    assert f"schedule weekly: {outcome}; `bigbird schedule show weekly` tells" in told
    assert "half-written" not in told


def test_one_that_has_ended_stands_in_no_ones_way(cloud, bigbird):
    bigbird(*MONDAYS)
    cloud.schedules["1"]["state"] = "COMPLETED"
    assert "created" in bigbird(*MONDAYS).stdout
    bigbird("schedule", "pause", "weekly")
    assert [stored["state"] for stored in cloud.schedules.values()] == ["COMPLETED", "PAUSED"]
    assert bigbird("schedule", "list").stderr == ""
    bigbird("schedule", "delete", "weekly")
    bigbird("schedule", "delete", "weekly")  # the one that is left
    assert cloud.schedules == {}
