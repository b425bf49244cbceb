package gitlabtest

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// QuickAction is a line of a text that GitLab carried out, or would have, with
// the rights of who wrote it:
// https://docs.gitlab.com/user/project/quick_actions/
type QuickAction struct {
	User    string
	Name    string // "close"
	Arg     string
	Applied bool // false: it is none of merge requests, but GitLab takes the line away all the same
}

// mergeActions do something on merge requests; issueActions are known and
// taken out of any text, too: Gitlab::QuickActions::Extractor knows names only.
// paidActions are known to the Enterprise Edition only, whatever is paid for.
var (
	mergeActions = []string{
		"approve", "assign", "assign_reviewer", "award", "close", "copy_metadata", "done", "draft", "estimate", "estimate_time", "label", "labels",
		"lock", "merge", "milestone", "react", "ready", "reassign", "reassign_reviewer", "rebase", "relabel", "remove_estimate", "remove_label",
		"remove_milestone", "remove_reviewer", "remove_time_estimate", "remove_time_spent", "reopen", "request_review", "reviewer", "shrug", "spend",
		"spend_time", "submit_review", "subscribe", "tableflip", "target_branch", "title", "todo", "unapprove", "unassign", "unassign_reviewer",
		"unlabel", "unlock", "unsubscribe",
	}
	issueActions = []string{
		"add_child", "add_contacts", "add_email", "board_move", "clone", "confidential", "convert_to_ticket", "create_merge_request", "due",
		"duplicate", "link", "move", "promote_to", "promote_to_incident", "relate", "remove_child", "remove_contacts", "remove_due_date",
		"remove_email", "remove_parent", "remove_zoom", "set_parent", "severity", "tag", "timeline", "type", "unlink", "zoom",
	}
	paidActions = []string{
		"blocked_by", "blocks", "checkin_reminder", "clear_health_status", "clear_weight", "epic", "health_status", "iteration", "page", "promote",
		"publish", "q", "remove_iteration", "status", "weight",
	}
)

var actionLine = regexp.MustCompile(`(?i)^/([a-z_]+)(?: (.*))?\s*$`)

// extract takes the quick actions out of a text, as GitLab does before it
// keeps it. Code, quotes and HTML are left alone: lib/gitlab/quick_actions/extractor.rb
func (s *Server) extract(body string) (rest string, actions []QuickAction) {
	var kept []string
	closing := ""
	for _, line := range strings.Split(strings.ReplaceAll(body, "\r\n", "\n"), "\n") {
		trimmed := strings.TrimSpace(line)
		switch {
		case closing != "":
			if strings.HasPrefix(trimmed, closing) && (closing != "<" || strings.HasPrefix(trimmed, "</")) {
				closing = ""
			}
		case strings.HasPrefix(trimmed, "```"), strings.HasPrefix(trimmed, "~~~"), strings.HasPrefix(trimmed, ">>>"):
			fence := trimmed[:1]
			closing = strings.Repeat(fence, len(trimmed)-len(strings.TrimLeft(trimmed, fence)))
		case strings.HasPrefix(line, "<") && !strings.HasPrefix(line, "<!--") && strings.HasSuffix(trimmed, ">") && !strings.Contains(trimmed, "</"):
			closing = "<"
		default:
			if m := actionLine.FindStringSubmatch(line); m != nil && s.knowsAction(strings.ToLower(m[1])) {
				name := strings.ToLower(m[1])
				actions = append(actions, QuickAction{Name: name, Arg: strings.TrimSpace(m[2]), Applied: slices.Contains(mergeActions, name)})
				continue
			}
		}
		kept = append(kept, line)
	}
	return strings.TrimSpace(strings.Join(kept, "\n")), actions
}

func (s *Server) knowsAction(name string) bool {
	paid := !strings.HasSuffix(s.opts.Version, "-ce") && slices.Contains(paidActions, name)
	return paid || slices.Contains(mergeActions, name) || slices.Contains(issueActions, name)
}

// QuickActions are those that texts on the merge request have run.
func (m *Merge) QuickActions() []QuickAction {
	m.p.s.mu.Lock()
	defer m.p.s.unlock()
	return slices.Clone(m.actions)
}

// run carries out the ones that matter to builds.
func (m *Merge) run(u *user, actions []QuickAction) error {
	for _, a := range actions {
		a.User = u.username
		m.actions = append(m.actions, a)
		if m.p.level(u) < Developer {
			continue
		}
		var err error
		switch a.Name {
		case "close":
			err = m.close(u)
		case "reopen":
			err = m.reopen(u)
		case "title":
			err = m.edit(u, map[string]string{"title": a.Arg})
		case "draft":
			err = m.edit(u, map[string]string{"title": "Draft: " + strings.TrimPrefix(m.title, "Draft: ")})
		case "ready":
			err = m.edit(u, map[string]string{"title": strings.TrimPrefix(m.title, "Draft: ")})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// said is what GitLab answers to a text of nothing but quick actions.
func (n *note) said(m *Merge) []string {
	var out []string
	for _, a := range m.actions {
		if a.User != n.by.username {
			continue
		}
		if a.Applied {
			out = append(out, fmt.Sprintf("Applied %s command.", a.Name))
		} else {
			out = append(out, fmt.Sprintf("Could not apply %s command.", a.Name))
		}
	}
	return out[max(0, len(out)-1):]
}
