package builder

import (
	"fmt"
	"slices"
	"strings"

	"github.com/registry-build/registry-build/config"
)

// Kinds of a Change.
const (
	ChangeAdded   = "added"
	ChangeChanged = "changed"
	ChangeRemoved = "removed"
)

const (
	maxChanges    = 50  // that are told one by one
	maxChangeText = 240 // characters of one
	maxValueText  = 80  // characters of a value or title in it
)

// allImages stands in Change.Image for what holds for the whole file.
const allImages = "all images"

// Compare tells what putting head in the place of base would change in what is
// built: images, where they go, what they may use, their rules and triggers. nil is no file.
// repository names the source repository, for an image without a name. What
// means nothing (comments, the order of keys and images, a default that is
// written out) is no change. At most 50 are told, and then how many more there
// are. Texts are of the file's author: one line each, but not safe as Markdown.
func Compare(base, head *config.BuildFile, repository string) []Change {
	c := &comparison{before: describeFile(base, repository), after: describeFile(head, repository)}
	c.compare()
	for i := range c.changes {
		c.changes[i].Text = clip(strings.Join(strings.Fields(c.changes[i].Text), " "), maxChangeText)
	}
	if more := len(c.changes) - maxChanges; more > 0 {
		c.changes = append(c.changes[:maxChanges:maxChanges],
			Change{Image: "others", Kind: ChangeChanged, Text: fmt.Sprintf("and %d more", more)})
	}
	return c.changes
}

// fileText is a build file in words, part by part: two files mean the same
// where their words are the same.
type fileText struct {
	settings parts
	images   []imageText
}

type imageText struct {
	name            string
	settings        parts
	rules, triggers []itemText
	ordered         bool // the order of the rules means something
}

// itemText is a rule or trigger.
type itemText struct {
	title    string
	settings parts
}

// parts are settings by name, in the order in which they are told.
type parts []part

type part struct{ name, value string }

func (ps parts) value(name string) string {
	for _, p := range ps {
		if p.name == name {
			return p.value
		}
	}
	return ""
}

// String tells the settings that have a value: "tags latest; target debug".
func (ps parts) String() string {
	var words []string
	for _, p := range ps {
		if p.value != "" {
			words = append(words, p.name+" "+p.value)
		}
	}
	return strings.Join(words, "; ")
}

func describeFile(f *config.BuildFile, repository string) fileText {
	if f == nil || len(f.Images) == 0 { // where there is no file there are no settings
		return fileText{}
	}
	text := fileText{settings: parts{{"automatic", fmt.Sprint(f.Automatic)}, {"timezone", orText(f.Timezone, "the server's")}}}
	for _, img := range f.Images {
		img.Name = orText(img.Name, strings.ToLower(repository))
		text.images = append(text.images, describeImage(img, len(f.Images) > 1))
	}
	return text
}

func describeImage(img config.Image, several bool) imageText {
	repository := img.Repository
	if repository == "" {
		repository = "the default"
		if several { // it moves when a second image comes
			repository += " with /" + img.Name
		}
	}
	text := imageText{name: img.Name, ordered: img.Match != config.MatchAll, settings: parts{
		{"dockerfile", img.Dockerfile}, {"context", img.Context}, {"repository", repository}, {"target", img.Target},
		{"platforms", inOrder(img.Platforms)}, {"args", describeArgs(img.Args)},
		{"secrets", describeSecrets(img.Secrets)}, {"ssh", describeSSH(img.SSH)}, {"cache", only("false", !img.Cache)},
		{"paths", strings.Join(img.Paths, ", ")}, {"match", only("all", img.Match == config.MatchAll)},
	}}
	seen := map[string]int{}
	for _, r := range img.Rules {
		seen[r.String()]++
		text.rules = append(text.rules, describeRule(r, ruleKey(r.String(), seen[r.String()])))
	}
	for _, t := range img.Triggers {
		text.triggers = append(text.triggers, describeTrigger(t))
	}
	return text
}

func describeRule(r config.Rule, key string) itemText {
	var tags []string
	for _, t := range r.Tags {
		tags = append(tags, t.String())
	}
	if len(tags) == 0 && !r.PullRequest {
		tags = []string{defaultTag}
	}
	flag := func(b *bool) string {
		if b == nil {
			return ""
		}
		return fmt.Sprint(*b)
	}
	own := func(s *string) string {
		if s == nil {
			return ""
		}
		return *s
	}
	return itemText{"rule " + key, parts{
		{"tags", inOrder(tags)}, {"args", describeArgs(r.Args)}, {"platforms", inOrder(r.Platforms)},
		{"target", own(r.Target)}, {"dockerfile", own(r.Dockerfile)}, {"context", own(r.Context)},
		{"cache", flag(r.Cache)}, {"automatic", flag(r.Automatic)},
	}}
}

func describeArgs(args []config.Arg) string {
	var words []string
	for _, a := range args {
		words = append(words, a.Name+"="+a.Value.String())
	}
	return inOrder(words)
}

// inOrder lists what has no order that means anything. An argument may use
// only those before it, so of one file there is one meaning in any order.
func inOrder(words []string) string {
	words = slices.Clone(words)
	slices.Sort(words)
	return strings.Join(words, ", ")
}

func only(word string, when bool) string {
	if when {
		return word
	}
	return ""
}

// comparison collects changes in an order that people can follow: the file,
// then image after image.
type comparison struct {
	before, after fileText
	changes       []Change
}

func (c *comparison) add(image, kind, format string, args ...any) {
	c.changes = append(c.changes, Change{Image: image, Kind: kind, Text: fmt.Sprintf(format, args...)})
}

func (c *comparison) compare() {
	if len(c.before.images) > 0 && len(c.after.images) > 0 {
		c.settings(allImages, "", c.before.settings, c.after.settings)
	}
	for _, img := range c.after.images {
		i := slices.IndexFunc(c.before.images, func(b imageText) bool { return b.name == img.name })
		if i < 0 {
			c.image(img, ChangeAdded)
			continue
		}
		old := c.before.images[i]
		c.settings(img.name, "", old.settings, img.settings)
		c.items(img.name, old.rules, img.rules)
		if old.ordered && img.ordered {
			c.order(img.name, old.rules, img.rules)
		}
		c.items(img.name, old.triggers, img.triggers)
	}
	for _, old := range c.before.images {
		if !slices.ContainsFunc(c.after.images, func(a imageText) bool { return a.name == old.name }) {
			c.add(old.name, ChangeRemoved, "the image is not built any more")
		}
	}
}

// image tells a new image whole.
func (c *comparison) image(img imageText, kind string) {
	c.add(img.name, kind, "the image: %s", img.settings)
	for _, item := range slices.Concat(img.rules, img.triggers) {
		c.item(img.name, kind, item)
	}
}

func (c *comparison) item(image, kind string, item itemText) {
	shown := slices.DeleteFunc(slices.Clone(item.settings), func(p part) bool { return p.name == hidden })
	for i := range shown {
		shown[i].value = clip(shown[i].value, maxValueText)
	}
	text := clip(item.title, maxValueText)
	if s := shown.String(); s != "" {
		text += ": " + s
	}
	c.add(image, kind, "%s", text)
}

func (c *comparison) items(image string, before, after []itemText) {
	for _, item := range after {
		i := slices.IndexFunc(before, func(b itemText) bool { return b.title == item.title })
		if i < 0 {
			c.item(image, ChangeAdded, item)
			continue
		}
		c.settings(image, clip(item.title, maxValueText)+": ", before[i].settings, item.settings)
	}
	for _, item := range before {
		if !slices.ContainsFunc(after, func(a itemText) bool { return a.title == item.title }) {
			c.add(image, ChangeRemoved, "%s", clip(item.title, maxValueText))
		}
	}
}

// settings tells each setting that differs.
func (c *comparison) settings(image, prefix string, before, after parts) {
	names := []string{}
	for _, p := range slices.Concat(after, before) {
		if !slices.Contains(names, p.name) {
			names = append(names, p.name)
		}
	}
	for _, name := range names {
		was, is := before.value(name), after.value(name)
		if was == is {
			continue
		}
		was, is = orText(clip(was, maxValueText), "none"), orText(clip(is, maxValueText), "none")
		if name == hidden || was == is {
			c.add(image, ChangeChanged, "%s%s: changed", prefix, name)
		} else {
			c.add(image, ChangeChanged, "%s%s %s -> %s", prefix, name, was, is)
		}
	}
}

// order tells that rules which both have changed places: the first one that
// matches builds.
func (c *comparison) order(image string, before, after []itemText) {
	common := func(of, in []itemText) (titles []string) {
		for _, item := range of {
			if slices.ContainsFunc(in, func(o itemText) bool { return o.title == item.title }) {
				titles = append(titles, strings.TrimPrefix(item.title, "rule "))
			}
		}
		return titles
	}
	was, is := common(before, after), common(after, before)
	if !slices.Equal(was, is) {
		c.add(image, ChangeChanged, "rules are tried in another order: %s", strings.Join(is, "; "))
	}
}
