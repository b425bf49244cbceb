package main

import (
	"strings"
	"testing"
	"time"
)

// What buildctl --progress rawjson writes: steps are repeated, and change.
const progressOfLocal = `{"vertexes":[{"digest":"sha256:aa","name":"[internal] load build context"}]}
{"vertexes":[{"digest":"sha256:aa","name":"[internal] load build context","started":"2026-01-02T03:04:05Z","completed":"2026-01-02T03:04:06Z"}]}
{"vertexes":[{"digest":"sha256:aa","name":"[internal] load build context","started":"2026-01-02T03:04:05Z"}]}
{"statuses":[{"id":"transferring","vertex":"sha256:aa","current":1,"timestamp":"2026-01-02T03:04:06Z"}]}
{"vertexes":[{"digest":"sha256:aa","name":"[internal] load build context","started":"2026-01-02T03:04:05Z","completed":"2026-01-02T03:04:07.5Z"}]}
{"vertexes":[{"digest":"sha256:bb","name":"[1/1] COPY . /src","started":"2026-01-02T03:04:08Z","completed":"2026-01-02T03:04:09Z"}]}
`

const progressOfGit = `{"vertexes":[{"digest":"sha256:cc","name":"[internal] load git source http://host/acme/big.git#main","started":"2026-01-02T03:04:05Z","completed":"2026-01-02T03:04:06Z"}]}
{"vertexes":[{"digest":"sha256:ee","name":"[stage-1 1/1] COPY --from=source /a /b","started":"2026-01-02T03:04:09Z"}]}
{"vertexes":[{"digest":"sha256:dd","name":"[source 1/1] COPY . /src","started":"2026-01-02T03:04:07Z"}]}
`

func TestContextTimes(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for name, tc := range map[string]struct {
		progress string
		want     contextTimes
		err      string
	}{
		"the last completion from a session": {progressOfLocal, contextTimes{2500 * time.Millisecond, 3 * time.Second}, ""},
		"git, and the first COPY":            {progressOfGit, contextTimes{time.Second, 2 * time.Second}, ""},
		"no context":                         {`{"vertexes":[{"digest":"sha256:bb","name":"[1/1] COPY . /src","started":"2026-01-02T03:04:09Z"}]}`, contextTimes{}, "no step that loads"},
		"no COPY":                            {`{"vertexes":[{"digest":"sha256:aa","name":"[internal] load build context","completed":"2026-01-02T03:04:06Z"}]}`, contextTimes{}, "no COPY"},
		"nothing":                            {"", contextTimes{}, "no step"},
	} {
		t.Run(name, func(t *testing.T) {
			found, err := readSteps(strings.NewReader(tc.progress))
			if err != nil {
				t.Fatal(err)
			}
			got, err := found.context(start)
			switch {
			case tc.err != "":
				if err == nil || !strings.Contains(err.Error(), tc.err) {
					t.Errorf("got %v, want an error with %q", err, tc.err)
				}
			case err != nil || got != tc.want:
				t.Errorf("got %v, %v, want %v", got, err, tc.want)
			}
		})
	}
}

func TestReadStepsRefusesText(t *testing.T) {
	if _, err := readSteps(strings.NewReader("#1 [internal] load build definition")); err == nil {
		t.Error("plain progress was read as JSON")
	}
}

func TestSolveRef(t *testing.T) {
	for line, want := range map[string]string{
		`time=2026-01-02T03:04:05.000Z level=DEBUG msg=solve room=buildkit attempt=06gzz0ham5y4gba1-1 ref=jk3q1x`: "jk3q1x",
		`time=2026-01-02T03:04:05.000Z level=DEBUG msg=solve room=buildkit ref=jk3q1x attempt=06gzz0ham5y4gba1-1`: "jk3q1x",
		`time=2026-01-02T03:04:05.000Z level=INFO msg="build ended" ref=refs/heads/main`:                          "",
		`time=2026-01-02T03:04:05.000Z level=DEBUG msg=solve room=buildkit`:                                       "",
	} {
		if got, ok := solveRef(line); got != want || ok != (want != "") {
			t.Errorf("solveRef(%s) is %q, %t, want %q", line, got, ok, want)
		}
	}
}
