package builder

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestDescribe(t *testing.T) {
	took := func(d time.Duration) Progress {
		return Progress{StartedAt: accepted, FinishedAt: accepted.Add(d)}
	}
	in := func(s State, p Progress) Progress { p.State = s; return p }
	running := Progress{State: Running, Attempt: 1}
	on := func(name string) Step { return Step{Name: name, Started: accepted} }
	ended := func(name string) Step { return Step{Name: name, Started: accepted, Took: time.Second, Ended: true} }
	steps := []Step{ended("[tools 1/2] FROM a"), ended("[tools 2/2] COPY b c"), ended("[1/7] COPY d e"), on("[2/7] RUN make")}
	for len(steps) < 9 {
		steps = append(steps, Step{Name: "[3/7] RUN later"})
	}
	many := make([]string, 40)
	for i := range many {
		many[i] = fmt.Sprintf("release-%d", i)
	}
	for _, tt := range []struct {
		name   string
		record Record
		want   string
	}{
		{"queued", Record{Progress: Progress{State: Queued}}, "queued"},
		{"queued, with its place", Record{Progress: Progress{State: Queued, Place: 3}}, "queued, 3rd in line"},
		{"queued again", Record{Progress: Progress{State: Queued, Place: 1, Attempt: 1}}, "queued again, 1st in line"},
		{"running", Record{Progress: Progress{State: Running, Attempt: 1}}, "building"},
		{"running again", Record{Progress: Progress{State: Running, Attempt: 2}}, "building, attempt 2"},
		{"asked to stop", Record{Progress: Progress{State: Running, Stop: &Stop{State: Cancelled, Reason: "by ada"}}}, "stopping: by ada"},
		{"pushing", Record{Build: Build{Tags: []string{"latest", "v1"}}, Progress: Progress{State: Pushing}}, "pushing latest, v1"},
		{"pushing no tag", Record{Progress: Progress{State: Pushing, Attempt: 3}}, "pushing, attempt 3"},

		{"running, before its first step", Record{Progress: running, Result: Result{Steps: []Step{{Name: "[1/2] COPY a b"}, {Name: "[2/2] RUN make"}}}}, "building"},
		{"running a step", Record{Progress: running, Result: Result{Steps: steps}}, "step 4 of 9: RUN make"},
		{"running two steps at once", Record{Progress: running, Result: Result{Steps: []Step{ended("[a 1/1] RUN a"), on("[b 1/1] RUN b"), on("[c 1/1] RUN c"), {Name: "[c 2/2] COPY d e"}}}},
			"step 3 of 4: RUN c"},
		{"an earlier step runs on", Record{Progress: running, Result: Result{Steps: []Step{on("[a 1/1] RUN a"), ended("[b 1/1] RUN b")}}}, "step 1 of 2: RUN a"},
		{"between two steps", Record{Progress: running, Result: Result{Steps: []Step{ended("[1/2] RUN a"), {Name: "[2/2] RUN b"}}}}, "step 1 of 2: RUN a"},
		{"a step of many lines", Record{Progress: running, Result: Result{Steps: []Step{on("[1/1] RUN <<EOF\n  make\nEOF")}}}, "step 1 of 1: RUN <<EOF make EOF"},
		{"a step without a place", Record{Progress: running, Result: Result{Steps: []Step{on("exporting")}}}, "step 1 of 1: exporting"},
		{"a step without a name", Record{Progress: running, Result: Result{Steps: []Step{on("[1/1]")}}}, "step 1 of 1"},
		{"a long step, again", Record{Progress: Progress{State: Running, Attempt: 2}, Result: Result{Steps: []Step{on("[1/1] RUN " + strings.Repeat("a", 300))}}},
			"step 1 of 1: RUN " + strings.Repeat("a", 102) + "…, attempt 2"},
		{"asked to stop in a step", Record{Progress: Progress{State: Running, Stop: &Stop{State: Superseded, Reason: "by 4f2c1a on main"}}, Result: Result{Steps: steps}},
			"stopping: by 4f2c1a on main"},
		{"steps are over", Record{Build: Build{Tags: []string{"v1"}}, Progress: Progress{State: Pushing}, Result: Result{Steps: steps}}, "pushing v1"},

		{"from a fork", Record{Build: Build{Lane: ForkLane}, Progress: Progress{State: Succeeded}}, "built; it comes from a fork, so nothing is pushed"},
		{"from a fork, with its time", Record{Build: Build{Lane: ForkLane}, Progress: in(Succeeded, took(12*time.Second))},
			"built in 12 s; it comes from a fork, so nothing is pushed"},
		{"from a fork, running", Record{Build: Build{Lane: ForkLane}, Progress: running, Result: Result{Steps: steps}}, "step 4 of 9: RUN make"},
		{"from a fork, failed", Record{Build: Build{Lane: ForkLane}, Progress: Progress{State: Failed}, Result: Result{Failure: &Failure{
			File: "Dockerfile", Line: 7, Message: "RUN make ended with status 2"}}}, "failed: Dockerfile:7 RUN make ended with status 2"},
		{"of a pull request without tags", Record{Build: Build{Pull: &Pull{Number: 7}}, Progress: in(Succeeded, took(3*time.Second))}, "pushed without a tag in 3.0 s"},

		{"succeeded", Record{Build: Build{Tags: []string{"latest", "main-4f2c1a"}}, Progress: in(Succeeded, took(12*time.Second))},
			"pushed latest, main-4f2c1a in 12 s"},
		{"a tag was held", Record{
			Build: Build{Tags: []string{"latest", "main-4f2c1a"}}, Progress: in(Succeeded, took(1234*time.Millisecond)),
			Result: Result{Tagged: []TagOutcome{{Tag: "latest", HeldBy: "9e8d7c6b5a"}, {Tag: "main-4f2c1a", Moved: true}}},
		}, "pushed main-4f2c1a in 1.2 s; latest left on 9e8d7c"},
		{"all tags were held", Record{
			Progress: in(Succeeded, took(61*time.Second)),
			Result:   Result{Tagged: []TagOutcome{{Tag: "latest", HeldBy: "9e8d7c6b5a"}, {Tag: "main", HeldBy: "9e8d7c6b5a"}, {Tag: "x", HeldBy: "1"}}},
		}, "pushed without a tag in 1 min 1 s; latest left on 9e8d7c and more"},
		{"no tag was asked for", Record{Progress: in(Succeeded, took(2*time.Hour+3*time.Minute))}, "pushed without a tag in 2 h 3 min"},
		{"many tags", Record{Build: Build{Tags: many}, Progress: in(Succeeded, took(12*time.Second))},
			"pushed release-0, release-1, release-2, release-3, release-4, release-5, release-6, release-7, release-8, release-9 and 30 more in 12 s"},
		{"one long tag", Record{Build: Build{Tags: []string{strings.Repeat("a", 128)}}, Progress: in(Succeeded, took(12*time.Second))},
			"pushed " + strings.Repeat("a", 124) + "… in 12 s"},
		{"two long tags", Record{Build: Build{Tags: []string{strings.Repeat("a", 128), strings.Repeat("b", 128)}}, Progress: in(Succeeded, took(12*time.Second))},
			"pushed " + strings.Repeat("a", 113) + "… and 1 more in 12 s"},
		{"no times", Record{Build: Build{Tags: []string{"v1"}}, Progress: Progress{State: Succeeded}}, "pushed v1"},

		{"promoted", Record{
			Build:    Build{Tags: []string{"v1"}},
			Progress: Progress{State: Promoted, QueuedAt: accepted, FinishedAt: accepted.Add(38 * time.Millisecond)},
			Result:   Result{From: "06db3m8e7g0k5rqa"},
		}, "unchanged: same input as build 06db3m8e7g0k5rqa, tags put in 38 ms"},
		{"promoted, held", Record{
			Progress: in(Promoted, took(time.Millisecond)),
			Result:   Result{From: "06db3m8e7g0k5rqa", Tagged: []TagOutcome{{Tag: "latest", HeldBy: "9e8d7c6b5a"}}},
		}, "unchanged: same input as build 06db3m8e7g0k5rqa; latest left on 9e8d7c"},
		{"promoted, nothing known", Record{Build: Build{Tags: []string{"v1"}}, Progress: Progress{State: Promoted}},
			"unchanged: same input as before, tags put"},

		{"failed", Record{Progress: Progress{State: Failed}, Result: Result{Failure: &Failure{
			Stage: StageBuild, File: "Dockerfile", Line: 7, Message: "RUN make\nended with status 2"}}},
			"failed: Dockerfile:7 RUN make ended with status 2"},
		{"failed, the message has the place", Record{Progress: Progress{State: Failed}, Result: Result{Failure: &Failure{
			File: "Dockerfile", Line: 7, Message: "Dockerfile:7: unknown instruction"}}},
			"failed: Dockerfile:7: unknown instruction"},
		{"failed in a file", Record{Progress: Progress{State: Failed}, Result: Result{Failure: &Failure{
			File: "build/Dockerfile", Message: "is not there"}}}, "failed: build/Dockerfile is not there"},
		{"failed, nothing known", Record{Progress: Progress{State: Failed}}, "failed"},
		{"cut between characters", Record{Progress: Progress{State: Failed}, Result: Result{Failure: &Failure{
			Message: strings.Repeat("功", 200)}}}, "failed: " + strings.Repeat("功", 131) + "…"},
		{"no text", Record{Progress: Progress{State: Failed}, Result: Result{Failure: &Failure{Message: "a\xffb"}}}, "failed: a\uFFFDb"},

		{"cancelled", Record{Progress: Progress{State: Cancelled}, Result: Result{Reason: "by ada"}}, "cancelled: by ada"},
		{"superseded", Record{Progress: Progress{State: Superseded}, Result: Result{Reason: "by 4f2c1a on main"}}, "superseded: by 4f2c1a on main"},
		{"skipped", Record{Progress: Progress{State: Skipped}, Result: Result{Reason: "none of its paths changed"}}, "unchanged: none of its paths changed"},
		{"superseded by a pull request's newer head", Record{Progress: Progress{State: Superseded}, Result: Result{Reason: "by 4f2c1a of pull request 7"}}, "superseded: by 4f2c1a of pull request 7"},
		{"superseded, nobody knows why", Record{Progress: Progress{State: Superseded}}, "superseded"},
		{"cancelled, nobody knows why", Record{Progress: Progress{State: Cancelled}}, "cancelled"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := Describe(tt.record)
			if got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
			if n := utf8.RuneCountInString(got); n > 140 || !utf8.ValidString(got) {
				t.Errorf("%d characters: %q", n, got)
			}
		})
	}
}

func TestDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 ms", 999 * time.Millisecond: "999 ms", time.Second: "1.0 s", 9990 * time.Millisecond: "9.9 s",
		10 * time.Second: "10 s", 59999 * time.Millisecond: "59 s", time.Minute: "1 min 0 s", time.Hour: "1 h 0 min",
	} {
		if got := duration(d); got != want {
			t.Errorf("%v: got %q, want %q", d, got, want)
		}
	}
}

func TestOrdinal(t *testing.T) {
	for n, want := range map[int]string{1: "1st", 2: "2nd", 3: "3rd", 4: "4th", 11: "11th", 12: "12th", 13: "13th", 21: "21st", 111: "111th", 122: "122nd"} {
		if got := ordinal(n); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestStatusContext(t *testing.T) {
	if got := (Build{Image: "api"}).StatusContext(); got != "registry-build/api" {
		t.Error(got)
	}
}
