package builder

import (
	"fmt"
	"strconv"

	"github.com/registry-build/registry-build/config"
)

// origin says what an expanded text depends on.
type origin uint8

const (
	fromRef    origin = 1 << iota // the ref's name, or what a pattern caught of it
	fromCommit                    // the commit
	fromTime                      // an instant
)

type value struct {
	text string
	from origin
}

// scope is the variables that the templates of one build see.
type scope struct {
	planner *planner
	vars    map[string]value // but commit and times, which take a format
}

// scope makes the variables of an event and a rule's groups. Those without a
// value, `tag` on a branch, are left out.
func (p *planner) scope(groups map[string]string) *scope {
	s := &scope{planner: p, vars: map[string]value{
		"owner": {text: p.Event.Repository.Owner},
		"repo":  {text: p.Event.Repository.Name},
	}}
	for name, text := range map[string]string{
		"branch": p.subject.branch, "tag": p.subject.tag, "refName": p.subject.name, "ref": p.subject.ref,
	} {
		if text != "" {
			s.vars[name] = value{text, fromRef}
		}
	}
	if p.subject.pull > 0 {
		s.vars["number"] = value{strconv.Itoa(p.subject.pull), fromRef}
	}
	for name, text := range groups {
		s.vars[name] = value{text, fromRef} // "" where the group took no part
	}
	return s
}

// expand fills a template in, but for ${buildTime}, which stays.
func (s *scope) expand(t config.Template) (value, error) {
	var from origin
	text, err := t.Expand(func(name, format string) (string, error) {
		switch name {
		case "commit":
			from |= fromCommit
			return config.FormatCommit(s.planner.Event.Commit, format)
		case "time":
			from |= fromTime
			return config.FormatTime(s.planner.Event.AcceptedAt.In(s.planner.zone), format)
		case "buildTime":
			from |= fromTime
			return buildTimeVariable(format), nil
		}
		if v, ok := s.vars[name]; ok {
			from |= v.from
			return v.text, nil
		}
		return "", fmt.Errorf("${%s} has no value for %s", name, s.planner.subject)
	})
	return value{text, from}, err
}
