package config

import (
	"strings"

	"github.com/bmatcuk/doublestar/v4"
	"go.yaml.in/yaml/v3"
)

// maxPaths is how many paths an image may name.
const maxPaths = 50

// Paths are the files that an image depends on, as people wrote them:
//
//	services/api           the file, or everything in the folder
//	services/api/**        the same; ** is any number of folders
//	services/*/Dockerfile  * is anything but a slash, ? one character, [a-z] one of these
//	"!**/*.md"             not these, though a path before named them
//
// All are relative to the root of the repository. The last one that matches a
// file decides. Empty Paths name every file.
type Paths []string

// Match reports whether a change of the file matters to the image. otherwise
// is the answer for a file that no path matches.
func (ps Paths) Match(file string, otherwise bool) bool {
	if len(ps) == 0 {
		return true
	}
	for _, p := range ps {
		pattern, not := strings.CutPrefix(p, "!")
		// What has the other answer already cannot be changed by this one.
		if otherwise == not && matchPath(pattern, file) {
			otherwise = !not
		}
	}
	return otherwise
}

func matchPath(pattern, file string) bool {
	glob := pathGlob(pattern)
	ok, err := doublestar.Match(glob, file)
	if !ok && err == nil {
		ok, err = doublestar.Match(glob+"/**", file) // all that is in the folder
	}
	return ok && err == nil
}

// pathGlob is the pattern as doublestar reads it: braces are letters here, as
// in every pattern of the file.
func pathGlob(pattern string) string {
	return braces.Replace(strings.TrimSuffix(pattern, "/"))
}

var braces = strings.NewReplacer("{", `\{`, "}", `\}`)

func (r *reader) paths(v *yaml.Node) Paths {
	nodes := r.list(v, "paths", `["services/api/**", "!**/*.md"]`)
	if len(nodes) > maxPaths {
		r.errorf(nodes[maxPaths], "an image has at most %d paths; this is number %d", maxPaths, maxPaths+1)
		nodes = nodes[:maxPaths]
	}
	var out Paths
	first := map[string]bool{}
	positive := false
	for _, n := range nodes {
		s, ok := r.text(n, `an entry of "paths"`)
		if !ok {
			positive = true // whatever was meant
			continue
		}
		pattern, not := strings.CutPrefix(s, "!")
		why := whyNoPath(pattern)
		switch {
		case why != "":
			r.errorf(n, "path %s %s", r.show(n), why)
		case first[s]:
			r.errorf(n, "the path %s stands twice; remove one", r.show(n))
		case not && !positive:
			r.errorf(n, `path %s excludes, but nothing was named before that it could be an exception to; begin with what the image depends on: paths: ["**", %q]`, r.show(n), s)
		}
		first[s] = true
		positive = positive || !not
		out = append(out, s)
	}
	return out
}

// whyNoPath says why no file can match the pattern, "" if one can.
func whyNoPath(pattern string) string {
	parts := strings.Split(strings.TrimSuffix(pattern, "/"), "/")
	has := func(part string) bool {
		for _, p := range parts {
			if p == part {
				return true
			}
		}
		return false
	}
	switch {
	case pattern == "":
		return `is empty; "**" is every file`
	case len(pattern) > maxPattern:
		return "is longer than a path can be"
	case strings.ContainsFunc(pattern, isControl):
		return "holds a control character"
	case strings.HasPrefix(pattern, "!"):
		return `begins with two "!"; write one`
	case strings.Contains(pattern, "${"):
		return "holds a variable; they are not replaced in paths"
	case strings.Contains(pattern, `\`):
		return `holds a "\"; separate folders with "/"`
	case strings.HasPrefix(pattern, "/"):
		return `begins with "/"; write it relative to the root of the repository`
	case has("..") || has(".") || has(""):
		return `has a part that is ".", ".." or empty; write it as git names files, like services/api`
	case !doublestar.ValidatePattern(pathGlob(pattern)):
		return `has a "[" without its "]"`
	}
	return ""
}
