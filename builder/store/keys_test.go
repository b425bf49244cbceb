package store

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestKeysAreInTheGrammar holds the names that scripts and functions make
// against the comment that draws them.
func TestKeysAreInTheGrammar(t *testing.T) {
	source, err := os.ReadFile("keys.go")
	if err != nil {
		t.Fatal(err)
	}
	grammar, code, _ := strings.Cut(string(source), "const control")
	inGrammar := func(where, word string) {
		if !regexp.MustCompile(`\{rb\}:` + regexp.QuoteMeta(word) + `[\s:,]`).MatchString(grammar) {
			t.Errorf("%s uses {rb}:%s, which is not in the grammar of keys.go", where, word)
		}
	}
	var used []string
	files, err := luaFiles.ReadDir("lua")
	if err != nil {
		t.Fatal(err)
	}
	name := regexp.MustCompile(`RB \.\. ':([a-z-]+)`)
	for _, f := range files {
		text, err := luaFiles.ReadFile("lua/" + f.Name())
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range name.FindAllStringSubmatch(string(text), -1) {
			inGrammar(f.Name(), m[1])
			used = append(used, m[1])
		}
	}
	for _, m := range regexp.MustCompile(`control \+ ":([a-z-]+)`).FindAllStringSubmatch(code, -1) {
		inGrammar("keys.go", m[1])
		used = append(used, m[1])
	}
	for _, m := range regexp.MustCompile(`\{rb\}:([a-z-]+)`).FindAllStringSubmatch(grammar, -1) {
		if !slices.Contains(used, m[1]) {
			t.Errorf("the grammar has {rb}:%s, which nothing uses", m[1])
		}
	}
}

// TestScriptsSayWhatTheyTake: every script lists KEYS, ARGV and what it returns.
func TestScriptsSayWhatTheyTake(t *testing.T) {
	files, err := luaFiles.ReadDir("lua")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		text, err := luaFiles.ReadFile("lua/" + f.Name())
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range []string{"-- KEYS", "-- ARGV", "-- Returns"} {
			if f.Name() != "control.lua" && !strings.Contains(string(text), part) {
				t.Errorf("%s does not say %s", f.Name(), part)
			}
		}
	}
}

func TestKeysOfABuildAreInItsSlot(t *testing.T) {
	for _, key := range []string{detailKey("x"), triggersKey("x"), logKey("x"), logMetaKey("x"), logFrameKey("x")} {
		if !strings.HasPrefix(key, "{b:x}") {
			t.Errorf("%s is not in the slot of {b:x}", key)
		}
	}
}
