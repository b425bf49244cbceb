package buildkit

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/moby/buildkit/client"
	policy "github.com/moby/buildkit/sourcepolicy/pb"

	"github.com/registry-build/registry-build/builder"
)

// The fork lane builds what nobody trusts. The daemon must be one that serves
// this lane only (what a step leaves in a cache is there for the next), and:
//
//   - it is given no login, no secret, no agent and no entitlement, and makes
//     nothing that leaves it;
//   - steps have no network;
//   - it fetches nothing but images, from registries whose names are public:
//     a daemon sends its requests from its own network, where much answers
//     that is nobody's business.
//
// A name says little about the address that it resolves to, and registries
// send the daemon on to addresses of their own choice. That the daemon does
// not reach those is up to the network that it runs in.

// laned puts a request into its lane. A Solver for forks knows no other one.
func (s *Solver) laned(r builder.SolveRequest) builder.SolveRequest {
	if s.lane == builder.ForkLane {
		r.Lane = builder.ForkLane
	}
	if r.Lane == builder.ForkLane {
		r.Login, r.BaseLogins, r.Destination = builder.Login{}, nil, ""
		r.Secrets, r.SSH = nil, nil
	}
	return r
}

// confine makes of a request's options those of the fork lane.
func (s *Solver) confine(opt *client.SolveOpt) {
	opt.FrontendAttrs["force-network-mode"] = "none"
	p := &policy.Policy{Version: 1, Rules: s.forkRules()}
	if opt.SourcePolicy != nil {
		p.Rules = append(p.Rules, opt.SourcePolicy.Rules...) // what is pinned is asked about again
	}
	opt.SourcePolicy = p
}

const imageScheme = "docker-image://"

// inside matches images whose registry is not on the internet by its name
// alone: one label, an address in any of the forms that resolvers take (the
// last label begins with a digit), and names that are set aside for private
// use.
const inside = `(?i)^docker-image://(?:\[|[^/.]+/|(?:[^/:]+\.)?(?:[0-9][^/.:]*|localhost|local|internal|localdomain|home\.arpa|lan|svc)\.?(?::[0-9]+)?/)`

// forkRules allow images of public registries and what the session brings.
// Of the rules that match, the last one counts.
func (s *Solver) forkRules() []*policy.Rule {
	rule := func(action policy.PolicyAction, expression string) *policy.Rule {
		return &policy.Rule{Action: action, Selector: &policy.Selector{Identifier: expression, MatchType: policy.MatchType_REGEX}}
	}
	rules := []*policy.Rule{
		rule(policy.PolicyAction_DENY, ".*"),
		rule(policy.PolicyAction_ALLOW, "^(?:local|docker-image)://"),
		rule(policy.PolicyAction_DENY, inside),
	}
	for host := range s.private {
		rules = append(rules, rule(policy.PolicyAction_DENY, "(?i)^"+imageScheme+regexp.QuoteMeta(host)+"/"))
	}
	for host := range s.mirrored {
		rules = append(rules, rule(policy.PolicyAction_ALLOW, "^"+imageScheme+regexp.QuoteMeta(host)+"/"))
	}
	return rules
}

// refused is what the policy will refuse of sources, told beforehand: at the
// line, and before anybody asks a registry for the image's digest. "" is
// nothing.
func (s *Solver) refused(id string) string {
	denied := false
	for _, r := range s.forkRules() {
		if regexp.MustCompile(r.Selector.Identifier).MatchString(id) {
			denied = r.Action == policy.PolicyAction_DENY
		}
	}
	if !denied {
		return ""
	}
	return refusedSentence(id)
}

func refusedSentence(id string) string {
	if image, ok := strings.CutPrefix(id, imageScheme); ok {
		return fmt.Sprintf("a fork's build may not pull %s: its bases come from public registries, and that one is inside the builder's network", clean(image))
	}
	return fmt.Sprintf("a fork's build may not fetch %s from the builder's network: add the file to the repository and COPY it", clean(id))
}

// checkFork refuses the sources, and the images that only their configuration
// is read of.
func (s *Solver) checkFork(sources []source, images map[string]bool, file string) error {
	if s.lane != builder.ForkLane {
		return nil
	}
	all := sources
	for ref := range images {
		all = append(all, source{id: imageScheme + ref})
	}
	for _, src := range all {
		sentence := s.refused(src.id)
		if sentence == "" {
			continue
		}
		at := file
		if src.line > 0 {
			at = fmt.Sprintf("%s:%d", file, src.line)
		}
		return &builder.Failure{Stage: builder.StageBuild, File: file, Line: src.line, EndLine: src.line, Message: at + ": " + sentence}
	}
	return nil
}

// denied recognises what the policy refused: the daemon sees more than we do,
// such as the ONBUILD lines of bases.
var denied = regexp.MustCompile(`source "([^"]*)" (?:denied|not allowed) by policy`)

// noNetwork recognises what programs say that have none.
var noNetwork = regexp.MustCompile(`(?i)network is unreachable|temporary failure in name resolution|could not resolve|bad address|EAI_AGAIN|ENOTFOUND|no such host|name or service not known|failed to connect|dial (?:tcp|udp)|connection refused`)

// offline explains a step that wanted a network.
func offline(output string) string {
	if noNetwork.MatchString(output) {
		return "; steps of a fork's build have no network"
	}
	return ""
}

func hostSet(hosts []string) map[string]bool {
	set := map[string]bool{}
	for _, host := range hosts {
		set[host] = true
	}
	return set
}
