package gitops

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/builder/trigger/gitops/manifest"
)

func TestSettingsOfMessages(t *testing.T) {
	k := (&remote{t: t}).kind()
	f := firing(1, deploy(`metadata."a.b/c"[x=ü "q"]`))
	f.Record.Actor = "eve\n\n" + trailer + `{"file":"x","at":"2026-01-01T00:00:00Z"}`
	r, err := k.request(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	u := &update{k: k, batch: []*request{r}}
	message := u.message([]int{0}, nil)
	got := settingsOf(message, start.Add(time.Hour))
	if diff := cmp.Diff([]setting{r.setting()}, got); diff != "" {
		t.Errorf("settings (-want +got):\n%s\nof %s", diff, message)
	}
	place, img, ok := got[0].target()
	if !ok || place != r.place || img != r.image {
		t.Errorf("target %v %v %t", place, img, ok)
	}
	// As a forge has it that merges by squash, with the lines of Windows.
	if got := settingsOf(strings.ReplaceAll("A title (#7)\n\n* "+message, "\n", "\r\n"), start.Add(time.Hour)); len(got) != 1 {
		t.Errorf("squashed: %+v", got)
	}
	// What is of the future was not written by us.
	if got := settingsOf(message, start.Add(-time.Hour)); len(got) != 0 {
		t.Errorf("of the future: %+v", got)
	}
}

func TestSettingsThatAreNotOurs(t *testing.T) {
	for name, s := range map[string]setting{
		"no digest":       {File: "a", Place: "path x", Image: "a:b"},
		"no tag":          {File: "a", Place: "path x", Image: "a@sha256:1"},
		"no place":        {File: "a", Place: "path", Image: "a:b@sha256:1"},
		"another place":   {File: "a", Place: "jsonnet x", Image: "a:b@sha256:1"},
		"out of the tree": {File: "../a", Place: "path x", Image: "a:b@sha256:1"},
		"another text":    {File: "a", Place: "path x", Image: "a\": {b}:b@sha256:1"},
	} {
		if p, img, ok := s.target(); ok && p != (manifest.Place{}) {
			t.Errorf("%s: %v, %v", name, p, img)
		}
	}
}

func TestOldSettingsGiveWay(t *testing.T) {
	at := func(n int) setting {
		return setting{File: "a", Place: "path x", At: start.Add(time.Duration(n)), Seq: int64(n)}
	}
	got := newest([]past{{settings: []setting{at(2)}}, {settings: []setting{at(3)}}, {settings: []setting{at(1)}}})
	if s := got[at(0).field()]; s.Seq != 3 {
		t.Errorf("newest is %d, want 3", s.Seq)
	}
	if same := at(1); same.after(at(1)) {
		t.Error("a setting is after itself")
	}
}
