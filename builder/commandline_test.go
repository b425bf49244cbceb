package builder

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const aCommit = "4f2c1a0d9e8b7c6a5f4e3d2c1b0a99887766554f"

func TestParseCommand(t *testing.T) {
	for _, test := range []struct {
		line string
		want Command
	}{
		{"/build", Command{Name: CommandBuild}},
		{"  /build  ", Command{Name: CommandBuild}},
		{"/Build", Command{Name: CommandBuild}},
		{"/build api", Command{Name: CommandBuild, Image: "api"}},
		{"/build api no-cache", Command{Name: CommandBuild, Image: "api", NoCache: true}},
		{"/build --no-cache", Command{Name: CommandBuild, NoCache: true}},
		{"/build —no-cache", Command{Name: CommandBuild, NoCache: true}},
		{"/build --ref release/1 api", Command{Name: CommandBuild, Image: "api", Ref: "release/1"}},
		{"/build api --ref=refs/tags/v1 no-cache", Command{Name: CommandBuild, Image: "api", Ref: "refs/tags/v1", NoCache: true}},
		{"/build api web", Command{Name: CommandBuild, Invalid: "`web` is too much for `/build`: `/build [image] [--ref REF] [no-cache]`, like `/build api no-cache`"}},
		{"/build --ref", Command{Name: CommandBuild, Invalid: "`/build` needs a branch or a tag after `--ref`: `/build [image] [--ref REF] [no-cache]`, like `/build api no-cache`"}},
		{"/build --ref --no-cache", Command{Name: CommandBuild, Invalid: "`/build` needs a branch or a tag after `--ref`: `/build [image] [--ref REF] [no-cache]`, like `/build api no-cache`"}},
		{"/build --ref a --ref b", Command{Name: CommandBuild, Ref: "a", Invalid: "`/build` needs `--ref` only once: `/build [image] [--ref REF] [no-cache]`, like `/build api no-cache`"}},
		{"/build --push", Command{Name: CommandBuild, Invalid: "`/build` does not know `--push`: `/build [image] [--ref REF] [no-cache]`, like `/build api no-cache`"}},
		{"/rebuild", Command{Name: CommandRebuild}},
		{"/rebuild api no-cache", Command{Name: CommandRebuild, Image: "api", NoCache: true}},
		{"/rebuild --ref main", Command{Name: CommandRebuild, Invalid: "`/rebuild` does not know `--ref`: `/rebuild [image] [no-cache]`, like `/rebuild api`"}},
		{"/cancel", Command{Name: CommandCancel}},
		{"/cancel api", Command{Name: CommandCancel, Image: "api"}},
		{"/ok-to-build " + aCommit, Command{Name: CommandOkToBuild, Commit: aCommit}},
		{"/ok-to-build " + strings.ToUpper(aCommit), Command{Name: CommandOkToBuild, Commit: aCommit}},
		{"/ok-to-build " + strings.Repeat("a", 64), Command{Name: CommandOkToBuild, Commit: strings.Repeat("a", 64)}},
		{"/ok-to-build", Command{Name: CommandOkToBuild, Invalid: "`/ok-to-build` needs the commit that may be built, all 40 digits of it: `/ok-to-build SHA`, like `/ok-to-build " + exampleCommit + "`"}},
		{"/ok-to-build 4f2c1a0", Command{Name: CommandOkToBuild, Commit: "4f2c1a0", Invalid: "`/ok-to-build` needs all 40 digits of the commit, and `4f2c1a0` has 7: whoever pushes can make another commit that begins like that; `/ok-to-build SHA`, like `/ok-to-build " + exampleCommit + "`"}},
		{"/ok-to-build main", Command{Name: CommandOkToBuild, Commit: "main", Invalid: "`main` is no commit: `/ok-to-build` needs all 40 digits of it; `/ok-to-build SHA`, like `/ok-to-build " + exampleCommit + "`"}},
		{"/ok-to-build " + aCommit + " please", Command{Name: CommandOkToBuild, Invalid: "`please` is too much for `/ok-to-build`: `/ok-to-build SHA`, like `/ok-to-build " + exampleCommit + "`"}},
		{"/promote v1.2", Command{Name: CommandPromote, Tag: "v1.2"}},
		{"/promote api v1.2", Command{Name: CommandPromote, Image: "api", Tag: "v1.2"}},
		{"/promote", Command{Name: CommandPromote, Invalid: "`/promote` needs a tag: `/promote [image] TAG`, like `/promote api v1.2`"}},
		{"/promote a/b", Command{Name: CommandPromote, Tag: "a/b", Invalid: "`a/b` is no tag: letters, digits, `_`, `.` and `-`, at most 128, neither `.` nor `-` first; `/promote [image] TAG`, like `/promote api v1.2`"}},
		{"/promote api web v1", Command{Name: CommandPromote, Tag: "v1", Invalid: "`web` is too much for `/promote`: `/promote [image] TAG`, like `/promote api v1.2`"}},
		{"/pause", Command{Name: CommandPause}},
		{"/resume api", Command{Name: CommandResume, Image: "api"}},
		{"/status", Command{Name: CommandStatus}},
		{"/status api", Command{Name: CommandStatus, Invalid: "`api` is too much for `/status`: write `/status`"}},
		{"/why", Command{Name: CommandWhy}},
		{"/help", Command{Name: CommandHelp}},
		{"/rebiuld api", Command{Invalid: "There is no command `/rebiuld`; did you mean `/rebuild [image] [no-cache]`, like `/rebuild api`?"}},
		{"/biuld", Command{Invalid: "There is no command `/biuld`; did you mean `/build [image] [--ref REF] [no-cache]`, like `/build api no-cache`?"}},
		{"/ok-to-buildd", Command{Invalid: "There is no command `/ok-to-buildd`; did you mean `/ok-to-build SHA`, like `/ok-to-build " + exampleCommit + "`?"}},
		{"/status `@everybody`", Command{Name: CommandStatus, Invalid: "`` `@everybody` `` is too much for `/status`: write `/status`"}},
	} {
		t.Run(test.line, func(t *testing.T) {
			test.want.Text = strings.TrimSpace(test.line)
			got, ok := ParseCommand(test.line)
			if diff := cmp.Diff(test.want, got); diff != "" || !ok {
				t.Errorf("ours: %v (-want +got):\n%s", ok, diff)
			}
		})
	}
}

func TestWordsOfOthersAreNoCommands(t *testing.T) {
	for _, line := range []string{
		"", " ", "/", "/ build", "build", "please /build", "//build", "/lgtm", "/retest", "/test all", "/approve", "/hold cancel",
		"/ok-to-test", "/rerun", "/run", "/deploy prod", "/merge", "/close", "/hepl", "/whi", "/usr/bin/env", "/rebase", "/assign @ada",
	} {
		if c, ok := ParseCommand(line); ok {
			t.Errorf("%q is taken for %+v", line, c)
		}
	}
}

func TestCommandsBehindOurName(t *testing.T) {
	for line, want := range map[string]Command{
		"/rb status":             {Name: CommandStatus},
		"/RB /status":            {Name: CommandStatus},
		"/rb promote api v1":     {Name: CommandPromote, Image: "api", Tag: "v1"},
		"/rb":                    {Name: CommandHelp},
		"/rb biuld":              {Invalid: "There is no command `biuld`; did you mean `/build [image] [--ref REF] [no-cache]`, like `/build api no-cache`?"},
		"/rb make me a sandwich": {Invalid: "There is no command `make`; `/rb help` shows all."},
	} {
		want.Text = line
		got, ok := ParseCommand(line)
		if diff := cmp.Diff(want, got); diff != "" || !ok {
			t.Errorf("%s: ours %v (-want +got):\n%s", line, ok, diff)
		}
	}
}

// What the table shows people is what is understood.
func TestEveryExampleIsACommand(t *testing.T) {
	for _, u := range Commands() {
		c, ok := ParseCommand(u.Example)
		if !ok || c.Name != u.Name || c.Invalid != "" {
			t.Errorf("%s: %+v, %v", u.Example, c, ok)
		}
		if !strings.HasPrefix(u.Form, "/"+string(u.Name)) || u.Text == "" {
			t.Errorf("%s: form %q, text %q", u.Name, u.Form, u.Text)
		}
	}
}

func TestQuote(t *testing.T) {
	for text, want := range map[string]string{
		"api": "`api`", "": "` `", "`": "`` ` ``", "a`b": "``a`b``", "a``b`c": "```a``b`c```",
		"a\nb": "`a b`", "\x00": "` `", "a\u202eb": "`a b`",
		strings.Repeat("x", 300): "`" + strings.Repeat("x", 199) + "…`",
	} {
		if got := quote(text); got != want {
			t.Errorf("quote(%q) = %s; want %s", text, got, want)
		}
	}
}

func FuzzParseCommand(f *testing.F) {
	for _, u := range Commands() {
		f.Add(u.Example)
	}
	f.Add("/biuld ``` \x00")
	f.Fuzz(func(t *testing.T, line string) {
		c, ok := ParseCommand(line)
		if ok && c.Name == "" && c.Invalid == "" {
			t.Errorf("%q is ours, and neither a command nor a mistake", line)
		}
		if strings.ContainsAny(c.Invalid, "\n\r\x00") {
			t.Errorf("%q: the sentence has several lines: %q", line, c.Invalid)
		}
		if ok && c.Invalid == "" && c.Name == CommandOkToBuild && !wholeCommit.MatchString(c.Commit) {
			t.Errorf("%q approves %q", line, c.Commit)
		}
	})
}
