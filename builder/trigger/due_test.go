package trigger

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/registry-build/registry-build/builder"
	"github.com/registry-build/registry-build/config"
)

func selector(t *testing.T, s string) config.TagSelector {
	t.Helper()
	sel, err := config.ParseTagSelector(s)
	if err != nil {
		t.Fatal(err)
	}
	return sel
}

func record(state builder.State, tagged []builder.TagOutcome, triggers ...config.Trigger) builder.Record {
	r := builder.Record{Build: builder.Build{ID: "0123456789ABCDEF", Triggers: triggers}}
	r.State, r.Tagged = state, tagged
	for _, o := range tagged {
		r.Tags = append(r.Tags, o.Tag)
		if o.Quiet {
			r.Quiet = append(r.Quiet, o.Tag)
		}
	}
	return r
}

func TestDue(t *testing.T) {
	var (
		pushed    = []config.Outcome{config.OnPushed}
		failed    = []config.Outcome{config.OnFailed}
		recovered = []config.Outcome{config.OnRecovered}
		every     = []config.Outcome{config.OnPushed, config.OnFailed, config.OnRecovered}

		moved = builder.TagOutcome{Tag: "v1", Moved: true}
		again = builder.TagOutcome{Tag: "v1", Previous: "sha256:1"} // the same digest
		held  = builder.TagOutcome{Tag: "latest", HeldBy: "4f2c1a"}
		quiet = builder.TagOutcome{Tag: "v1", Moved: true, Quiet: true}
		none  = builder.State("")
	)
	type tags = []builder.TagOutcome
	tests := map[string]struct {
		on     []config.Outcome
		tags   string
		state  builder.State
		last   builder.State
		tagged tags
		event  config.Outcome // "" fires nothing
		tells  []string
	}{
		"pushed":                       {pushed, "all", builder.Succeeded, none, tags{moved}, config.OnPushed, []string{"v1"}},
		"pushed is the default":        {nil, "all", builder.Succeeded, none, tags{moved}, config.OnPushed, []string{"v1"}},
		"somebody's own push":          {pushed, "all", builder.Pushed, none, tags{moved}, config.OnPushed, []string{"v1"}},
		"promoted":                     {pushed, "all", builder.Promoted, none, tags{moved}, config.OnPushed, []string{"v1"}},
		"expression":                   {pushed, `/^v\d/`, builder.Succeeded, none, tags{moved, {Tag: "main", Moved: true}}, config.OnPushed, []string{"v1"}},
		"other tags only":              {pushed, "stable", builder.Succeeded, none, tags{moved}, "", nil},
		"same digest again":            {pushed, "all", builder.Promoted, none, tags{again}, "", nil},
		"held back":                    {pushed, "all", builder.Succeeded, none, tags{held}, "", nil},
		"one moved, one held":          {pushed, "all", builder.Succeeded, none, tags{held, moved}, config.OnPushed, []string{"v1"}},
		"selected one is held":         {pushed, "latest", builder.Succeeded, none, tags{held, moved}, "", nil},
		"a tag that no authority gave": {every, "all", builder.Succeeded, none, tags{quiet}, "", nil},
		"one quiet, one not":           {pushed, "all", builder.Succeeded, none, tags{quiet, {Tag: "v2", Moved: true}}, config.OnPushed, []string{"v2"}},
		"quiet, and failed":            {every, "all", builder.Failed, none, tags{{Tag: "v1", Quiet: true}}, "", nil},
		"quiet, and recovered":         {every, "all", builder.Succeeded, builder.Failed, tags{quiet}, "", nil},
		"no tags":                      {every, "all", builder.Succeeded, builder.Failed, nil, "", nil},
		"failed build, pushed only":    {pushed, "all", builder.Failed, none, tags{moved}, "", nil},
		"failed":                       {failed, "all", builder.Failed, none, tags{{Tag: "v1"}}, config.OnFailed, []string{"v1"}},
		"failed again":                 {failed, "all", builder.Failed, builder.Failed, tags{{Tag: "v1"}}, config.OnFailed, []string{"v1"}},
		"failed with other tags":       {failed, "stable", builder.Failed, none, tags{{Tag: "v1"}}, "", nil},
		"failed without tags":          {failed, "all", builder.Failed, none, nil, "", nil},
		"good, failed only":            {failed, "all", builder.Succeeded, none, tags{moved}, "", nil},
		"recovered":                    {recovered, "all", builder.Succeeded, builder.Failed, tags{moved}, config.OnRecovered, []string{"v1"}},
		"recovered by promotion":       {recovered, "all", builder.Promoted, builder.Failed, tags{again}, config.OnRecovered, []string{"v1"}},
		"nothing to recover from":      {recovered, "all", builder.Succeeded, builder.Succeeded, tags{moved}, "", nil},
		"first build":                  {recovered, "all", builder.Succeeded, none, tags{moved}, "", nil},
		"after a cancelled one":        {recovered, "all", builder.Succeeded, builder.Cancelled, tags{moved}, "", nil},
		"pushed and recovered":         {every, "all", builder.Succeeded, builder.Failed, tags{moved}, config.OnPushed, []string{"v1"}},
		"recovered, all tags as were":  {every, "all", builder.Succeeded, builder.Failed, tags{again}, config.OnRecovered, []string{"v1"}},
		"cancelled":                    {every, "all", builder.Cancelled, builder.Failed, tags{{Tag: "v1"}}, "", nil},
		"superseded":                   {every, "all", builder.Superseded, builder.Failed, tags{{Tag: "v1"}}, "", nil},
		"skipped is no recovery":       {every, "all", builder.Skipped, builder.Failed, tags{{Tag: "v1"}}, "", nil},
		"still running":                {every, "all", builder.Pushing, builder.Failed, tags{moved}, "", nil},
		"every outcome, a failed push": {every, "all", builder.Failed, builder.Succeeded, tags{{Tag: "v1"}}, config.OnFailed, []string{"v1"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			tr := config.Trigger{Name: "audit", On: tt.on, Tags: selector(t, tt.tags)}
			r := record(tt.state, tt.tagged, tr)
			got := Due(r, tt.last)
			if tt.event == "" {
				if len(got) != 0 {
					t.Errorf("Due = %v, want none", got)
				}
				return
			}
			if diff := cmp.Diff([]string{"audit"}, got); diff != "" {
				t.Fatalf("Due (-want +got)\n%s", diff)
			}
			f := firing(tr, r, 1)
			if f.Event != tt.event {
				t.Errorf("event %s, want %s", f.Event, tt.event)
			}
			if diff := cmp.Diff(tt.tells, f.Tags); diff != "" {
				t.Errorf("tags (-want +got)\n%s", diff)
			}
		})
	}
}

func TestDueKeepsTheOrderOfTheFile(t *testing.T) {
	var triggers []config.Trigger
	for _, name := range []string{"zeta", "alpha", "mid"} {
		triggers = append(triggers, config.Trigger{Name: name})
	}
	triggers[1].Tags = selector(t, "other")
	got := Due(record(builder.Succeeded, []builder.TagOutcome{{Tag: "v1", Moved: true}}, triggers...), "")
	if diff := cmp.Diff([]string{"zeta", "mid"}, got); diff != "" {
		t.Error(diff)
	}
}
