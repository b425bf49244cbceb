package builder

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/registry-build/registry-build/config"
)

// subject is what rules are held against. At most one of branch, tag and pull
// is set; name is whichever there is.
type subject struct {
	ref, branch, tag, name string
	pull                   int    // number of the pull request
	queue                  string // the branch that a merge queue made; then pull may be 0
}

// subjectOfEvent knows what an event's ref alone does not tell.
func subjectOfEvent(e Event) subject {
	switch {
	case e.Kind == PullChanged && e.Pull != nil:
		return subjectOf(PullRef(e.Pull.Number))
	case e.Kind != MergeQueued:
		return subjectOf(e.Ref)
	}
	s := subject{ref: e.Ref, queue: strings.TrimPrefix(e.Ref, "refs/heads/")}
	s.name = s.queue
	if e.Pull != nil {
		s.pull = e.Pull.Number
	} else if m := queuedPull.FindStringSubmatch(s.queue); m != nil {
		s.pull, _ = strconv.Atoi(m[1])
	}
	if s.pull > 0 {
		s.name = pullName(s.pull)
	}
	return s
}

// queuedPull finds the pull request in the name of a merge queue's branch,
// which GitHub makes: gh-readonly-queue/main/pr-12-<commit>.
var queuedPull = regexp.MustCompile(`/pr-([1-9][0-9]{0,8})-[0-9a-f]+$`)

// pullName is what ${refName} is for a pull request.
func pullName(number int) string { return "pr-" + strconv.Itoa(number) }

func subjectOf(ref string) subject {
	s := subject{ref: ref}
	if number, ok := ParsePullRef(ref); ok {
		s.pull, s.name = number, pullName(number)
	} else if name, ok := strings.CutPrefix(ref, "refs/heads/"); ok {
		s.branch, s.name = name, name
	} else if name, ok := strings.CutPrefix(ref, "refs/tags/"); ok {
		s.tag, s.name = name, name
	} else {
		s.name = strings.TrimPrefix(ref, "refs/")
	}
	return s
}

func (s subject) String() string {
	switch {
	case s.queue != "" && s.pull > 0:
		return fmt.Sprintf("the merge queue's group of pull request %d", s.pull)
	case s.queue != "":
		return "the merge queue's group " + s.queue
	case s.pull > 0:
		return fmt.Sprintf("pull request %d", s.pull)
	case s.branch != "":
		return "branch " + s.branch
	case s.tag != "":
		return "tag " + s.tag
	case s.ref != "":
		return "ref " + s.ref
	}
	return "a commit without a ref"
}

// ruleKey tells apart the rules of an image that have the same condition; nth
// counts them from 1. It goes by the text, not by the place in the file, so
// that another rule above changes nothing.
func ruleKey(text string, nth int) string {
	if nth == 1 {
		return text
	}
	return fmt.Sprintf("%s #%d", text, nth)
}

// matchRule returns what the named groups caught, or why the rule does not
// match.
func matchRule(r config.Rule, s subject) (groups map[string]string, why string) {
	var pattern *config.Pattern
	var name, plural, what string
	pull := s.pull > 0 || s.queue != ""
	switch {
	case r.Branch != nil:
		pattern, name, plural, what = r.Branch, s.branch, "branches", "branch"
	case r.Tag != nil:
		pattern, name, plural, what = r.Tag, s.tag, "tags", "tag"
	case r.Ref != nil:
		pattern, name, plural, what = r.Ref, s.ref, "pushed refs", "ref"
	case pull:
		return nil, ""
	default:
		return nil, fmt.Sprintf("it is for pull requests, and this is %s", s)
	}
	if name == "" || pull {
		return nil, fmt.Sprintf("it is for %s, and this is %s", plural, s)
	}
	groups, ok := pattern.Match(name)
	if !ok {
		return nil, fmt.Sprintf("%s %s does not match", what, name)
	}
	return groups, ""
}

// specOf is what BuildKit is asked to do: the image's values, and the rule's
// in place of them. The expanded arguments become variables of the scope.
func specOf(img config.Image, r *config.Rule, s *scope) (Spec, error) {
	spec := Spec{Context: img.Context, Dockerfile: img.Dockerfile, Target: img.Target, Platforms: img.Platforms, NoCache: !img.Cache}
	args := img.Args
	if r != nil {
		override(&spec.Context, r.Context)
		override(&spec.Dockerfile, r.Dockerfile)
		override(&spec.Target, r.Target)
		if len(r.Platforms) > 0 {
			spec.Platforms = r.Platforms
		}
		if r.Cache != nil {
			spec.NoCache = !*r.Cache
		}
		args = config.MergeArgs(args, r.Args)
	}
	for _, a := range args {
		v, err := s.expand(a.Value)
		if err != nil {
			return Spec{}, fmt.Errorf("arg %s: %w", a.Name, err)
		}
		if _, taken := s.vars[a.Name]; !taken { // an argument never hides a variable
			s.vars[a.Name] = v
		}
		if spec.Args == nil {
			spec.Args = map[string]string{}
		}
		spec.Args[a.Name] = v.text
	}
	return spec, nil
}

func override(value *string, by *string) {
	if by != nil {
		*value = *by
	}
}
