package gitlabtest

import (
	"slices"
	"time"
)

// HookState is how a webhook stands.
type HookState struct {
	ID            int64
	URL           string
	Name          string
	Token         string
	AlertStatus   string // executable, temporarily_disabled or disabled
	DisabledUntil time.Time
	Failures      int // in a row
	Events        []string
	VerifyTLS     bool
	BranchFilter  string
}

// Hooks are the project's webhooks.
func (p *Project) Hooks() []HookState {
	p.s.mu.Lock()
	defer p.s.unlock()
	return p.s.states(p.hooks)
}

// GroupHooks are a group's webhooks.
func (s *Server) GroupHooks(fullPath string) []HookState {
	s.mu.Lock()
	defer s.unlock()
	if n := s.findSpace(fullPath); n != nil {
		return s.states(n.hooks)
	}
	return nil
}

// SystemHooks are the server's.
func (s *Server) SystemHooks() []HookState {
	s.mu.Lock()
	defer s.unlock()
	return s.states(s.systemHook)
}

func (s *Server) states(hooks []*hook) []HookState {
	var list []HookState
	for _, h := range hooks {
		state := HookState{
			ID: h.id, URL: h.url, Name: h.name, Token: h.token, AlertStatus: h.status(s.now()), DisabledUntil: h.disabledUntil,
			Failures: h.failures, VerifyTLS: h.verifyTLS, BranchFilter: h.filter,
		}
		for flag, on := range h.events {
			if on {
				state.Events = append(state.Events, flag)
			}
		}
		slices.Sort(state.Events)
		list = append(list, state)
	}
	return list
}

// HookOptions say what a webhook is made of that a person adds by hand.
type HookOptions struct {
	URL, Token   string
	Events       []string // default push, tag push, merge request and note
	BranchFilter string
}

func (s *Server) newHook(owner string, o HookOptions) *hook {
	if o.Events == nil {
		o.Events = []string{pushHook.flag, tagPushHook.flag, mergeRequestHook.flag, noteHook.flag}
	}
	h := &hook{id: s.id(), owner: owner, url: o.URL, token: o.Token, events: map[string]bool{}, verifyTLS: true, filter: o.BranchFilter, strategy: "wildcard", created: s.now()}
	for _, e := range o.Events {
		h.events[e] = true
	}
	return h
}

// AddHook gives the project a webhook and answers its number.
func (p *Project) AddHook(o HookOptions) int64 {
	p.s.mu.Lock()
	defer p.s.unlock()
	h := p.s.newHook("project", o)
	h.project = p
	p.hooks = append(p.hooks, h)
	return h.id
}

// AddGroupHook gives a group a webhook.
func (s *Server) AddGroupHook(fullPath string, o HookOptions) (int64, error) {
	s.mu.Lock()
	defer s.unlock()
	n, err := s.space(fullPath)
	if err != nil {
		return 0, err
	}
	h := s.newHook("group", o)
	h.group = n
	n.hooks = append(n.hooks, h)
	return h.id, nil
}

// AddSystemHook gives the server a webhook:
// https://docs.gitlab.com/administration/system_hooks/
func (s *Server) AddSystemHook(o HookOptions) int64 {
	s.mu.Lock()
	defer s.unlock()
	if o.Events == nil {
		o.Events = []string{pushHook.flag, tagPushHook.flag, mergeRequestHook.flag, "repository_update_events"}
	}
	h := s.newHook("system", o)
	s.systemHook = append(s.systemHook, h)
	return h.id
}

// DisableHook brings a webhook to where so many failures in a row bring it: 4
// switch it off for a minute, 40 for good.
func (s *Server) DisableHook(id int64, failures int) {
	s.mu.Lock()
	defer s.unlock()
	for _, h := range s.everyHook() {
		if h.id != id {
			continue
		}
		h.enable()
		for h.failures < failures {
			h.disabledUntil = time.Time{}
			before := h.failures
			h.fail(s.now())
			if h.failures == before {
				break
			}
		}
	}
}

func (s *Server) everyHook() []*hook {
	list := slices.Clone(s.systemHook)
	for _, p := range s.projects {
		list = append(list, p.hooks...)
	}
	for _, n := range s.namespaces {
		list = append(list, n.hooks...)
	}
	return list
}
