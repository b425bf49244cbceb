package importer

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// tcrRule reads a rule of Tencent's, as its console shows it: Tencent has no
// public call that answers with rules. One that waits for several branches, or
// for branches and tags, becomes a rule for each.
func tcrRule(d *draft, s *section) []*rule {
	base := newRule(d.count, s.line)
	base.id, _ = text(s.take("name", "规则名称"))
	if v, ok := text(s.take("buildcontext", "context", "构建目录")); ok {
		base.context = inside(v)
	}
	if v, ok := text(s.take("dockerfilepath", "dockerfile", "dockerfile路径")); ok {
		base.dockerfile = path.Clean(inside(v))
	} else if base.context != "." {
		base.comment("TCR takes the Dockerfile at the root of the repository where none is named, whatever the build directory is; so does this file.")
	}
	d.args(base, s.take("buildargs", "构建参数"))

	var rules []*rule
	for _, c := range tcrConditions(d, s) {
		r := *base
		r.comments = slices.Clone(base.comments)
		r.key, r.pattern, r.original = c.key, c.pattern, c.original
		r.comments = append(r.comments, c.comments...)
		r.automatic = !c.byHand
		if c.why != "" {
			d.note(s.line, "%s: %s", r.label(), c.why)
			r.standInFor(c.why)
		}
		rules = append(rules, &r)
	}
	tags, comments, lost := tcrTags(d, base, s)
	for _, r := range rules {
		r.tags = append(r.tags, tags...)
		r.comments = append(r.comments, comments...)
		r.lost = lost
	}
	return rules
}

// condition is what a rule waits for.
type condition struct {
	key, pattern string
	original     string
	comments     []string
	byHand       bool
	why          string // there is no such condition here
}

// tcrBranches is how the console of the personal edition writes a rule out.
var tcrBranches = regexp.MustCompile(`^提交代码到分支((?:\[[^\]]+\])+)时触发$`)

// tcrConditions reads the four kinds of triggers, and the boxes of the
// personal edition.
func tcrConditions(d *draft, s *section) []condition {
	var branches []string
	for _, n := range list(s.take("branch", "branches", "指定分支", "分支")) {
		if v, ok := text(n); ok && v != "" {
			branches = append(branches, v)
		}
	}
	expr, _ := text(s.take("regex", "regularexpression", "正则表达式", "正则", "规则"))
	triggers := list(s.take("trigger", "triggers", "触发规则", "触发方式"))
	var out []condition
	named, matched := false, false
	for _, n := range triggers {
		v, _ := text(n)
		switch word := plainKey(v); word {
		case "branch", "推送到指定分支触发", "推送到指定分支时触发", "提交代码到分支时触发":
			named = true
		case "tag", "newtag", "推送新标签时触发构建", "推送新标签时触发", "添加新tag时触发":
			out = append(out, condition{key: "tag", pattern: "*", original: v})
		case "anybranch", "推送到分支时触发构建", "推送到分支时触发":
			out = append(out, condition{key: "branch", pattern: "*", original: v})
		case "regex", "符合分支或标签规则时构建", "符合分支或标签规则时触发构建":
			matched = true
		case "manual", "none", "手动", "无":
			out = append(out, condition{key: "branch", pattern: "*", original: v, byHand: true})
		default:
			if m := tcrBranches.FindStringSubmatch(v); m != nil {
				branches = append(branches, strings.Split(strings.Trim(m[1], "[]"), "][")...)
				named = true
			} else if strings.HasPrefix(v, "^") || strings.HasPrefix(v, "refs/") {
				expr, matched = v, true
			} else {
				out = append(out, condition{original: v, why: fmt.Sprintf("the trigger %q is none of branch, anyBranch, tag, regex and manual", v)})
			}
		}
	}
	if named || len(triggers) == 0 && len(branches) > 0 {
		if len(branches) == 0 {
			out = append(out, condition{original: "branch", why: "it is for one branch, and Branch does not say which"})
		}
		for _, b := range branches {
			out = append(out, condition{key: "branch", pattern: b, original: "branch " + b})
		}
	} else if len(branches) > 0 {
		d.note(s.line, "rule %d names branches, and its trigger is not for named ones: %s", d.count, strings.Join(branches, ", "))
	}
	switch {
	case matched && expr == "":
		out = append(out, condition{original: "regex", why: "it is for an expression, and Regex does not say which"})
	case matched || expr != "" && len(triggers) == 0:
		out = append(out, tcrExpression(expr))
	case expr != "":
		d.note(s.line, "rule %d has an expression, and its trigger is not for one: %s", d.count, expr)
	}
	if len(out) == 0 {
		out = append(out, condition{key: "branch", pattern: "*", original: "no trigger", byHand: true,
			comments: []string{"Nothing starts the rule at TCR but a person; here that is a command, the API or the console, for any branch."}})
	}
	return out
}

// tcrExpression is an expression over whole refs, in the form that says most.
func tcrExpression(expr string) condition {
	c := condition{key: "ref", original: "regex " + expr}
	e, err := translate(expr, true)
	if err != nil {
		c.pattern, c.why = "/"+expr+"/", err.Error()
		return c
	}
	if e.literal != "" {
		c.pattern = e.literal
		for key, prefix := range map[string]string{"branch": "refs/heads/", "tag": "refs/tags/"} {
			if short, ok := strings.CutPrefix(e.literal, prefix); ok && short != "" {
				c.key, c.pattern = key, short
			}
		}
		return c
	}
	c.pattern = "/" + e.body + "/"
	if e.body != expr {
		c.comments = append(c.comments, oneLine(fmt.Sprintf("TCR is taken to look for its expression anywhere in the ref, as its example has ^ and $; here an expression is for all of it, and so %s became this.", expr)))
	}
	return c
}

// tcrTags reads the version rule: a prefix, the branch or tag, the time and
// the commit with "-" between, and the version that is put as well.
func tcrTags(d *draft, r *rule, s *section) (tags, comments []string, lost bool) {
	own := s
	var prefix *yaml.Node
	on := map[string]bool{}
	if n := s.take("tagrule", "版本规则", "版本命名规则", "镜像版本命名规则"); n != nil {
		if n.Kind == yaml.MappingNode {
			own = sectionOf(n)
			defer func() { d.unread(own, "a TagRule") }()
		} else {
			for _, e := range list(n) {
				v, _ := text(e)
				switch part := tcrPart(v); {
				case part != "":
					on[part] = true
				case prefix == nil:
					prefix = e
				default:
					d.note(e.Line, "%q is no part of a version rule; write Prefix, Ref, Time and Commit", v)
				}
			}
		}
	}
	if n := own.take("prefix", "tagprefix", "自定义前缀", "前缀"); n != nil {
		prefix = n
	}
	var parts []string
	if v, ok := text(prefix); ok && v != "" {
		t, err := tcrPrefix(v, r.args)
		if err != nil {
			d.note(prefix.Line, "%s: the prefix %s: %v", r.label(), v, err)
			comments = append(comments, oneLine(fmt.Sprintf("TODO: the tags that begin with %s are left out: %v.", v, err)))
			lost = true
		}
		parts = append(parts, t)
	}
	if ref, _ := boolean(own.take("ref", "branchortag", "branch/tag", "分支/标签")); ref || on["ref"] {
		parts = append(parts, "${refName}")
	}
	if t := tcrTime(own.take("time", "updatetime", "更新时间", "构建时间"), on["time"]); t != "" {
		parts = append(parts, t)
		comments = append(comments, "TCR writes the time at which it puts the tag, in a format that its pages do not tell: ${buildTime} is the like of it, and ${time} is that of the push, the same when a build is repeated.")
	}
	if c := tcrCommit(own.take("commit", "commitid", "commit号"), on["commit"]); c != "" {
		parts = append(parts, c)
		if c == "${commit:40}" {
			comments = append(comments, "TCR's pages do not tell how much of the commit it writes: this is all of it, ${commit:7} the usual short form.")
		}
	}
	if len(parts) > 0 && !lost {
		tags = append(tags, strings.Join(parts, "-"))
	}
	if v, ok := text(s.take("overwritetag", "覆盖镜像版本")); ok && v != "" {
		tags = append(tags, literal(v))
	}
	return tags, comments, lost
}

// tcrPart is the part of a version rule that a word names.
func tcrPart(s string) string {
	switch plainKey(s) {
	case "ref", "branchortag", "分支/标签", "分支":
		return "ref"
	case "time", "updatetime", "更新时间", "构建时间":
		return "time"
	case "commit", "commitid", "commit号":
		return "commit"
	}
	return ""
}

// tcrPrefix is the prefix of a version, in which build arguments may stand.
func tcrPrefix(s string, args []arg) (string, error) {
	var b strings.Builder
	end := 0
	for _, m := range tcrVariable.FindAllStringSubmatchIndex(s, -1) {
		b.WriteString(literal(s[end:m[0]]))
		name := s[m[2]:m[3]]
		switch {
		case !slices.ContainsFunc(args, func(a arg) bool { return a.name == name }):
			return "", fmt.Errorf("the rule has no build argument %q", name)
		case reserved(name):
			return "", fmt.Errorf("${%s} is a variable of the build file; rename the argument", name)
		}
		b.WriteString("${" + name + "}")
		end = m[1]
	}
	b.WriteString(literal(s[end:]))
	return b.String(), nil
}

var tcrVariable = regexp.MustCompile(`\$\{([^}]*)\}`)

func tcrTime(n *yaml.Node, on bool) string {
	if v, ok := boolean(n); ok {
		on = v
	} else if v, ok := text(n); ok {
		return "${buildTime:" + v + "}"
	}
	if on {
		return "${buildTime:yyyyMMddHHmm}"
	}
	return ""
}

func tcrCommit(n *yaml.Node, on bool) string {
	if v, ok := text(n); ok {
		if length, err := strconv.Atoi(v); err == nil && length > 1 {
			return fmt.Sprintf("${commit:%d}", length)
		}
	}
	if v, ok := boolean(n); ok {
		on = v
	}
	if on {
		return "${commit:40}"
	}
	return ""
}
