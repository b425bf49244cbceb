package config

import (
	"strings"
	"testing"
)

// TestReadmeExamples parses every YAML block of the README.
func TestReadmeExamples(t *testing.T) {
	count := 0
	for i, block := range strings.Split(string(read(t, "README.md")), "```yaml\n")[1:] {
		text, _, ok := strings.Cut(block, "```")
		if !ok {
			t.Fatalf("block %d has no end", i+1)
		}
		var ds Diagnostics
		if strings.HasPrefix(text, "# server.yml") {
			_, ds = ParseServer("server.yml", []byte(text))
		} else {
			_, ds = ParseBuildFile(BuildFileName, []byte(text))
		}
		if len(ds) > 0 {
			t.Errorf("block %d:\n%s", i+1, ds.Error())
		}
		count++
	}
	if count < 4 {
		t.Errorf("%d examples", count)
	}
}

// TestReadmeNamesEveryKey: a key that is not in the reference does not exist
// for people.
func TestReadmeNamesEveryKey(t *testing.T) {
	readme := string(read(t, "README.md"))
	check := func(section string, keys []string) {
		for _, k := range keys {
			whole := strings.TrimPrefix(section+"."+k, ".")
			if !strings.Contains(readme, "`"+k+"`") && !strings.Contains(readme, "`"+whole+"`") &&
				!strings.Contains(readme, "`"+k+"[]`") && !strings.Contains(readme, "`"+k+".") &&
				!strings.Contains(readme, "`"+k+":") {
				t.Errorf("the README has no %s of %q", k, section)
			}
		}
	}
	if _, ds := parseBuildFile(&reader{trace: check}, read(t, "testdata/ok/full.yml")); len(ds) > 0 {
		t.Fatal(ds.Error())
	}
	setFullEnv(t)
	const name = "testdata/server/ok/full.yml"
	if _, ds := parseServer(&reader{file: name, trace: check}, read(t, name)); len(ds) > 0 {
		t.Fatal(ds.Error())
	}
}
