package config

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// BuildFileName is the build file's name at the root of a repository.
const BuildFileName = ".registry-build.yml"

// Limits of a build file. MaxTriggers is counted over files, so others know it too.
const (
	maxImages   = 100
	maxRules    = 100 // of an image
	maxAllRules = 500 // of all images: with match: all each may be a build
	maxTags     = 100 // of a rule
	maxArgs     = 20  // of an image, the rule's merged in
	MaxTriggers = 10  // of an image repository, over all files; the operator's do not count
)

// ParseBuildFile reads a build file. name is what diagnostics call it. It
// returns either the file, with defaults filled in, or every problem that it
// has, in the file's order; never both.
func ParseBuildFile(name string, data []byte) (*BuildFile, Diagnostics) {
	return parseBuildFile(&reader{file: name}, data)
}

func parseBuildFile(r *reader, data []byte) (*BuildFile, Diagnostics) {
	r.homes, r.hints = buildFileHomes(), buildFileHints()
	root := r.open(data)
	if root == nil {
		return nil, r.diags.inOrder()
	}
	f := &BuildFile{Automatic: true}
	seen, ok := r.section(root, "", fields{
		"version": func(v *yaml.Node) {
			if v.Kind != yaml.ScalarNode || v.Value != "1" {
				r.wrongKind(v, "this registry-build reads version 1 of the file; write version: 1")
			}
		},
		"images":    func(v *yaml.Node) { f.Images = r.images(v) },
		"automatic": func(v *yaml.Node) { f.Automatic, _ = r.boolean(v, "automatic") },
		"timezone":  func(v *yaml.Node) { f.Timezone = r.timezone(v) },
	})
	if ok && seen["images"] == nil {
		r.errorf(root, `"images" is missing; the smallest file is: images: [{name: app}]`)
	}
	if len(r.diags) > 0 {
		return nil, r.diags.inOrder()
	}
	return f, nil
}

// buildFileHomes names the keys that people put one level too high or low.
func buildFileHomes() []home {
	return []home{
		{"images[]", `an entry of "images"`, []string{"name", "repository", "context", "dockerfile", "target", "platforms", "args", "secrets", "ssh", "cache", "paths", "match", "rules", "triggers"}},
		{"images[].rules[]", `an entry of "rules"`, []string{"branch", "tag", "ref", "pullRequest", "tags"}},
		{"images[].secrets[]", `an entry of "secrets"`, []string{"secretIdVariable", "secretKeyVariable"}},
		{"images[].triggers[]", `an entry of "triggers"`, []string{"on", "environment", "webhook", "kubernetes", "gitops", "chat"}},
		{"images[].triggers[].webhook", `"webhook"`, []string{"url", "format"}},
		{"images[].triggers[].kubernetes", `"kubernetes"`, []string{"cluster", "namespace", "deployment", "statefulSet", "daemonSet", "cronJob", "container", "rollback"}},
		{"images[].triggers[].gitops", `"gitops"`, []string{"file", "kustomize", "helm"}},
		{"images[].triggers[].chat", `"chat"`, []string{"to"}},
		{"", "the top of the file", []string{"version", "images", "automatic", "timezone"}},
	}
}

// buildFileHints answer keys that other tools have for the same thing.
func buildFileHints() map[string]hint {
	credential := hint{"credential", `it is "credential" here`}
	env := hint{"id", "a secret is not put into the environment here: RUN --mount=type=secret,id=NAME,env=VARIABLE in the Dockerfile does that, and NAME is the id"}
	return map[string]hint{
		"images[].secrets[].credentialsId": credential,
		"images[].secrets[].credentialId":  credential,
		"images[].secrets[].env":           env,
		"images[].secrets[].variable":      env,
		"images[].secrets[].name":          {"id", `did you mean "id", the one in RUN --mount=type=secret,id=…?`},
		"images[].secrets[].value":         {"credential", "a secret never stands in the file; keep it with: registry-build credentials set NAME, and write credential: NAME"},
		"images[].ssh[].credentialsId":     credential,
		"images[].ssh[].key":               {"credential", "a key never stands in the file; keep it with: registry-build credentials set NAME --kind ssh-key, and write credential: NAME"},
		"images[].rules[].secrets":         {"", "a rule cannot have its own; secrets belong to the image, and the Dockerfile says which steps mount them"},
		"images[].rules[].ssh":             {"", "a rule cannot have its own; ssh belongs to the image"},
	}
}

func (r *reader) timezone(v *yaml.Node) string {
	s, ok := r.text(v, `"timezone"`)
	if !ok {
		return ""
	}
	// "" and Local would mean another thing on each machine.
	if _, err := time.LoadLocation(s); err != nil || s == "" || s == "Local" {
		r.errorf(v, "%s is no time zone; write a name of the IANA database, like Asia/Shanghai or UTC", r.show(v))
	}
	return s
}

// imageEntry is an image with the places that checks across images need.
type imageEntry struct {
	Image
	node           *yaml.Node
	name, triggers *yaml.Node // nil: not written
}

func (r *reader) images(v *yaml.Node) []Image {
	nodes := r.list(v, "images", "[{name: app}]")
	if len(nodes) > maxImages {
		r.errorf(nodes[maxImages], "a file has at most %d images; this is number %d", maxImages, maxImages+1)
		nodes = nodes[:maxImages]
	}
	var entries []imageEntry
	for _, n := range nodes {
		entries = append(entries, r.image(n))
	}
	r.distinct(entries)
	rules := 0
	for _, e := range entries {
		if rules += len(e.Rules); rules > maxAllRules {
			r.errorf(e.node, "a file has at most %d rules in all its images; with this image's it has more", maxAllRules)
			break
		}
	}
	images := make([]Image, len(entries))
	for i, e := range entries {
		images[i] = e.Image
	}
	return images
}

// distinct checks what images of one file may not share.
func (r *reader) distinct(entries []imageEntry) {
	names := map[string]int{}
	triggers := map[string]int{}
	for _, e := range entries {
		switch {
		case e.name == nil && len(entries) > 1 && e.node.Kind == yaml.MappingNode:
			r.errorf(e.node, "the image has no name; give each a name where a file has several: it is the image's status and command argument, and the end of its default repository")
		case e.name != nil && e.Name != "":
			if line, ok := names[e.Name]; ok {
				r.errorf(e.name, "the name %q is taken by the image in line %d; choose another", e.Name, line)
			} else {
				names[e.Name] = e.name.Line
			}
		}
		if e.Repository == "" {
			continue
		}
		before := triggers[e.Repository]
		triggers[e.Repository] += len(e.Triggers)
		if before > 0 && triggers[e.Repository] > MaxTriggers {
			r.errorf(e.triggers, "the image repository %s has more than %d triggers, those of the file's other images counted", e.Repository, MaxTriggers)
		}
	}
}

func (r *reader) image(n *yaml.Node) imageEntry {
	e := imageEntry{node: n}
	im := &e.Image
	*im = Image{Context: ".", Dockerfile: "Dockerfile", Cache: true, Match: MatchFirst, Pos: position(n)}
	seen, ok := r.section(n, "images[]", fields{
		"name":         func(v *yaml.Node) { im.Name, _ = r.word(v, "name", pathComponent, pathComponentRule) },
		"repository":   func(v *yaml.Node) { im.Repository = r.imageRepository(v) },
		"context":      func(v *yaml.Node) { im.Context = r.path(v, "context") },
		"dockerfile":   func(v *yaml.Node) { im.Dockerfile = r.path(v, "dockerfile") },
		"target":       func(v *yaml.Node) { im.Target, _ = r.word(v, "target", stageName, stageNameRule) },
		"platforms":    func(v *yaml.Node) { im.Platforms = r.platforms(v, 1) },
		"args":         func(v *yaml.Node) { im.Args = r.args(v, "images[].args") },
		"secrets":      func(v *yaml.Node) { im.Secrets = r.secrets(v) },
		"ssh":          func(v *yaml.Node) { im.SSH = r.ssh(v) },
		"cache":        func(v *yaml.Node) { im.Cache, _ = r.boolean(v, "cache") },
		"accelerated":  r.later("accelerated images are"),
		"attestations": r.later("attestations are"),
		"paths":        func(v *yaml.Node) { im.Paths = r.paths(v) },
		"match": func(v *yaml.Node) {
			if s, ok := r.oneOf(v, "match", string(MatchFirst), string(MatchAll)); ok {
				im.Match = Match(s)
			}
		},
		"rules":    func(v *yaml.Node) { im.Rules = r.rules(v) },
		"triggers": func(v *yaml.Node) { im.Triggers, e.triggers = r.triggers(v), v },
	})
	if !ok {
		return e
	}
	if _, there := seen["rules"]; !there {
		im.Rules = defaultRules(im.Pos)
	}
	e.name = seen["name"]
	r.checkVariables(im)
	return e
}

// defaultRules build every branch and every tag, each under the default tag.
func defaultRules(pos Position) []Rule {
	every, _ := ParsePattern("*")
	return []Rule{{Branch: &every, Pos: pos}, {Tag: &every, Pos: pos}}
}

var stageName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]*$`)

const stageNameRule = "a stage of a Dockerfile has letters, digits, -, _ and . in its name"

// args reads a mapping of build arguments in the file's order.
func (r *reader) args(n *yaml.Node, section string) []Arg {
	if n.Kind != yaml.MappingNode {
		r.wrongKind(n, `"args" is a mapping; write args: {NAME: value}`)
		return nil
	}
	var args []Arg
	r.pairs(n, func(key, v *yaml.Node) {
		name := key.Value
		switch {
		case strings.HasPrefix(name, "BUILDKIT_"):
			r.errorf(key, "the argument %s is refused: BUILDKIT_* arguments steer the builder itself", name)
			return
		case !isName(name):
			r.errorf(key, "%q cannot name an argument: letters, digits and _, no digit first", name)
			return
		}
		if t, ok := r.template(v, "the argument "+name); ok {
			args = append(args, Arg{Name: name, Value: t, Pos: position(key)})
		}
		if len(args) == maxArgs+1 {
			r.errorf(key, "an image has at most %d args; %s is number %d", maxArgs, name, maxArgs+1)
		}
	})
	return args[:min(len(args), maxArgs)]
}

// template reads a text with variables and notes where each of them stands.
func (r *reader) template(n *yaml.Node, what string) (Template, bool) {
	s, ok := r.text(n, what)
	if !ok {
		return Template{}, false
	}
	t, err := ParseTemplate(s)
	if err != nil {
		r.errorIn(n, err)
		return Template{}, false
	}
	place := r.place(n)
	for i := range t.parts {
		if v := t.parts[i].variable; v.Name != "" {
			t.parts[i].pos = place(v.Col)
		}
	}
	return t, true
}

// MergeArgs puts a rule's arguments over an image's: one of the same name
// takes the place of the image's, the others follow in their order.
func MergeArgs(image, rule []Arg) []Arg {
	merged := slices.Clone(image)
	for _, a := range rule {
		if i := slices.IndexFunc(merged, func(m Arg) bool { return m.Name == a.Name }); i >= 0 {
			merged[i] = a
		} else {
			merged = append(merged, a)
		}
	}
	return merged
}
