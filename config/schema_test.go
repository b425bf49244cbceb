package config

import (
	"bytes"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

func compileSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(read(t, "schema.json")))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSchemaTakesWhatTheParserTakes(t *testing.T) {
	s := compileSchema(t)
	for _, name := range files(t, "ok") {
		t.Run(filepath.Base(name), func(t *testing.T) {
			var v any
			if err := yaml.Unmarshal(read(t, name), &v); err != nil {
				t.Fatal(err)
			}
			if err := s.Validate(v); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestSchemaRefusesWhatTheParserRefuses leaves out what only the parser can
// see: how files are written, and how values depend on each other.
func TestSchemaRefusesWhatTheParserRefuses(t *testing.T) {
	s := compileSchema(t)
	beyond := []string{
		"alias", "complex-key", "control-character", "duplicate-key", "not-utf8", "too-large", "two-documents", "yaml-*",
		"args-merged", "image-unnamed", "pattern", "tag", "template", "timezone", "triggers-shared", "variable-*",
	}
	for _, name := range files(t, "err") {
		base := strings.TrimSuffix(filepath.Base(name), ".yml")
		if MatchAny(beyond, base) {
			continue
		}
		t.Run(base, func(t *testing.T) {
			var v any
			if err := yaml.Unmarshal(read(t, name), &v); err != nil {
				return // refused before a schema sees it
			}
			if err := s.Validate(v); err == nil {
				t.Error("the schema takes it")
			}
		})
	}
}

// TestSchemaAndParserKnowTheSameKeys walks both, section by section.
func TestSchemaAndParserKnowTheSameKeys(t *testing.T) {
	parser := map[string][]string{}
	r := &reader{file: "full.yml", trace: func(section string, keys []string) { parser[section] = keys }}
	if _, ds := parseBuildFile(r, read(t, "testdata/ok/full.yml")); len(ds) > 0 {
		t.Fatal(ds.Error())
	}
	inSchema := map[string][]string{}
	walkSchema(compileSchema(t), "", inSchema)
	if diff := cmp.Diff(inSchema, parser); diff != "" {
		t.Errorf("schema.json and the parser know different keys (-schema +parser)\n%s", diff)
	}
}

func walkSchema(s *jsonschema.Schema, section string, keys map[string][]string) {
	for s.Ref != nil && len(s.Properties) == 0 && s.Items2020 == nil {
		s = s.Ref
	}
	if s.Items2020 != nil {
		walkSchema(s.Items2020, section+"[]", keys)
	}
	if len(s.Properties) == 0 {
		return
	}
	keys[section] = slices.Sorted(maps.Keys(s.Properties))
	for name, p := range s.Properties {
		walkSchema(p, strings.TrimPrefix(section+"."+name, "."), keys)
	}
}

func TestSchemaHasTheParsersLimits(t *testing.T) {
	s := compileSchema(t)
	image := s.Properties["images"].Items2020.Ref
	rule := image.Properties["rules"].Items2020.Ref
	for name, tt := range map[string]struct {
		schema *int
		parser int
	}{
		"images":   {s.Properties["images"].MaxItems, maxImages},
		"rules":    {image.Properties["rules"].MaxItems, maxRules},
		"triggers": {image.Properties["triggers"].MaxItems, MaxTriggers},
		"tags":     {rule.Properties["tags"].MaxItems, maxTags},
		"paths":    {image.Properties["paths"].MaxItems, maxPaths},
		"path":     {image.Properties["paths"].Items2020.Ref.MaxLength, maxPattern},
		"secrets":  {image.Properties["secrets"].MaxItems, maxSecrets},
		"ssh":      {image.Properties["ssh"].MaxItems, maxSSH},
		"people":   {image.Properties["triggers"].Items2020.Ref.Properties["chat"].Ref.Properties["to"].MaxItems, maxAddressees},
		"node":     {image.Properties["triggers"].Items2020.Ref.Properties["gitops"].Ref.Properties["helm"].Ref.MaxLength, maxNodePath},
		"args":     {image.Properties["args"].Ref.MaxProperties, maxArgs},
		"tag":      {rule.Properties["tags"].Items2020.MaxLength, maxTemplate},
		"pattern":  {rule.Properties["branch"].Ref.MaxLength, maxPattern},
	} {
		if tt.schema == nil || *tt.schema != tt.parser {
			t.Errorf("%s: the schema's limit is %v, the parser's %d", name, tt.schema, tt.parser)
		}
	}
	patterns := map[string][2]string{
		"trigger name": {image.Properties["triggers"].Items2020.Ref.Properties["name"].Pattern.String(), triggerName.String()},
		"target":       {image.Properties["target"].Ref.Pattern.String(), stageName.String()},
		"credential":   {image.Properties["triggers"].Items2020.Ref.Properties["webhook"].Ref.Properties["credential"].Ref.Pattern.String(), credentialName.String()},
		"secret id":    {image.Properties["secrets"].Items2020.Ref.Properties["id"].Ref.Pattern.String(), secretID.String()},
		"variable":     {image.Properties["secrets"].Items2020.Ref.Properties["secretIdVariable"].Ref.Pattern.String(), variableName.String()},
		"namespace":    {image.Properties["triggers"].Items2020.Ref.Properties["kubernetes"].Ref.Properties["namespace"].Ref.Pattern.String(), dnsLabel.String()},
		"workload":     {image.Properties["triggers"].Items2020.Ref.Properties["kubernetes"].Ref.Properties["deployment"].Ref.Pattern.String(), dnsSubdomain.String()},
	}
	for name, p := range patterns {
		if p[0] != p[1] {
			t.Errorf("%s: the schema's pattern is %s, the parser's %s", name, p[0], p[1])
		}
	}
}
