package importer

import (
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// acrRule reads a rule of Alibaba's: the fields of ListRepoBuildRule (2018-12-01)
// and GetRepoBuildRuleList (2016-06-07), and the labels of its console.
func acrRule(d *draft, s *section) []*rule {
	r := newRule(d.count, s.line)
	r.id, _ = text(s.take("buildruleid"))
	groups := acrCondition(d, r, s)

	directory, _ := text(s.take("dockerfilelocation", "dockerfiledirectory", "dockerfile目录"))
	file, ok := text(s.take("dockerfilename", "dockerfile文件名"))
	if !ok || file == "" {
		file = "Dockerfile"
	}
	r.context = inside(directory)
	r.dockerfile = path.Join(r.context, file)

	d.args(r, s.take("buildargs", "buildparameters", "构建参数"))
	d.platforms(r, s.take("platforms", "buildarchitecture", "构建架构"))
	acrTags(d, r, s, groups)
	return []*rule{r}
}

// acrPlain is a name, not a regular expression. "." is in many names and
// means itself.
var acrPlain = regexp.MustCompile(`^[\pL\pN_.][\pL\pN_./@#=,-]*$`)

// likeGlob is what people write who mean a glob.
var likeGlob = regexp.MustCompile(`^[\pL\pN_./-]*[-_/\pL\pN]\*$`)

// acrVariable is the older form of a group: release-v$version.
var acrVariable = regexp.MustCompile(`\$([A-Za-z_][A-Za-z0-9_]*)`)

// acrCondition reads PushType and PushName and returns the names of the
// groups.
func acrCondition(d *draft, r *rule, s *section) map[string]string {
	n := s.take("pushtype", "type", "类型")
	kind, _ := text(n)
	switch strings.ToLower(kind) {
	case "git_branch", "branch", "分支":
		r.key = "branch"
	case "git_tag", "tag", "标签":
		r.key = "tag"
	}
	name, ok := text(s.take("pushname", "branch/tag", "branchortag", "分支/标签"))
	r.original = strings.TrimSpace(kind + " " + name)
	if r.key == "" || !ok || name == "" {
		why := fmt.Sprintf("PushType is %q; it is GIT_BRANCH or GIT_TAG", kind)
		if r.key != "" {
			why = "it has no PushName, the branch or tag"
		}
		d.note(s.line, "%s: %s", r.label(), why)
		r.standInFor(why)
		return nil
	}
	if acrPlain.MatchString(name) {
		r.pattern = name
		return nil
	}
	expr := name
	if likeGlob.MatchString(name) {
		r.comment(`In an expression "*" repeats what stands before it. If any text was meant, write a glob: %s: "%s".`, r.key, name)
	}
	if acrVariable.MatchString(name) && !strings.ContainsAny(name, `\[(*+?|{`) {
		// $ ends a name in an expression, so a word after it is no expression.
		expr = groupsOf(name)
		r.comment("ACR's $variables are groups here.")
	}
	e, err := translate(expr, false)
	if err != nil {
		d.note(s.line, "%s: %s %s: %v", r.label(), r.key, name, err)
		r.key = "branch"
		if strings.HasPrefix(r.original, "GIT_TAG") || strings.EqualFold(kind, "tag") {
			r.key = "tag"
		}
		r.pattern = "/" + expr + "/"
		r.standInFor(err.Error())
		return nil
	}
	if e.literal != "" {
		r.pattern = e.literal
		return nil
	}
	r.pattern = "/" + e.body + "/"
	r.comment("Here an expression is for the whole name, as if ^ and $ stood around it; ACR's pages do not say whether it may be a part.")
	for from, to := range e.groups {
		if from != to {
			r.comment("The group %s is called %s here, where ${%s} is a variable.", from, to, from)
		}
	}
	return e.groups
}

// groupsOf makes an expression of a name with $variables.
func groupsOf(name string) string {
	var b strings.Builder
	end := 0
	for _, m := range acrVariable.FindAllStringSubmatchIndex(name, -1) {
		b.WriteString(regexp.QuoteMeta(name[end:m[0]]))
		fmt.Fprintf(&b, "(?<%s>.+)", name[m[2]:m[3]])
		end = m[1]
	}
	b.WriteString(regexp.QuoteMeta(name[end:]))
	return b.String()
}

// acrTags reads up to three image tags, each made of a text, a time and a
// commit with "-" between.
func acrTags(d *draft, r *rule, s *section, groups map[string]string) {
	nodes := list(s.take("imagetags", "imagetag", "镜像版本"))
	nodes = append(nodes, list(s.take("imagetag"))...)
	nodes = append(nodes, list(s.take("tag"))...) // the older API has both, and the same in them
	if len(nodes) == 0 {
		nodes = []*yaml.Node{nil}
	}
	seen := map[string]bool{}
	suffixes, problem := acrSuffixes(s)
	for _, n := range nodes {
		var parts []string
		name, _ := text(n)
		after, err := suffixes, problem
		if n != nil && n.Kind == yaml.MappingNode {
			own := sectionOf(n)
			name, _ = text(own.take("imagetag", "tag", "镜像版本"))
			after, err = acrSuffixes(own)
			d.unread(own, "an image tag")
		}
		if name != "" && err == nil {
			var t string
			t, err = acrTemplate(name, groups)
			parts = append(parts, t)
		}
		if err != nil {
			d.note(s.line, "%s: the tag %s: %v", r.label(), name, err)
			r.comment("TODO: the tag %s is left out: %v.", name, err)
			r.lost = true
			continue
		}
		t := strings.Join(append(parts, after...), "-")
		if t != "" && !seen[t] {
			seen[t] = true
			r.tags = append(r.tags, t)
		}
	}
}

// acrSuffixes are the time and the commit that follow a tag.
func acrSuffixes(s *section) ([]string, error) {
	var out []string
	var err error
	if n := s.take("time", "buildtime", "时间"); n != nil {
		t := acrTime(n)
		if t == "" {
			err = fmt.Errorf("its time is %q; ACR has the two formats yyyyMMdd and yyyyMMddHHmm", n.Value)
		}
		out = append(out, t)
	}
	if n := s.take("commitid", "commit"); n != nil {
		length, notNumber := strconv.Atoi(n.Value)
		on, ok := boolean(n)
		switch {
		case notNumber == nil && length >= 1 && length <= 40:
			out = append(out, fmt.Sprintf("${commit:%d}", length))
		case ok && on:
			out = append(out, "${commit}") // 6 characters, as ACR's
		case !ok:
			err = fmt.Errorf("its commit id has %q characters; write a number from 1 to 40", n.Value)
		}
	}
	return out, err
}

// acrTime reads one of the two formats, or the example that the console shows.
func acrTime(n *yaml.Node) string {
	v, _ := text(n)
	on, ok := boolean(n)
	switch {
	case v == "yyyyMMdd", len(v) == 8 && digits.MatchString(v):
		return "${time:yyyyMMdd}"
	case v == "yyyyMMddHHmm", len(v) == 12 && digits.MatchString(v), ok && on:
		return "${time:yyyyMMddHHmm}"
	}
	return ""
}

var digits = regexp.MustCompile(`^[0-9]+$`)

var tagVariable = regexp.MustCompile(`\$\{([^}]*)\}|\$([A-Za-z_][A-Za-z0-9_]*)`)

// acrTemplate is an image tag, in which the groups of the expression may
// stand.
func acrTemplate(s string, groups map[string]string) (string, error) {
	var b strings.Builder
	end := 0
	for _, m := range tagVariable.FindAllStringSubmatchIndex(s, -1) {
		b.WriteString(literal(s[end:m[0]]))
		name := s[max(m[2], m[4]):max(m[3], m[5])]
		to, ok := groups[name]
		if !ok {
			return "", fmt.Errorf("its branch or tag has no group %q; ${branch}, ${tag}, ${refName}, ${commit:7} and ${time:yyyyMMdd} are what a tag may hold here", name)
		}
		b.WriteString("${" + to + "}")
		end = m[1]
	}
	b.WriteString(literal(s[end:]))
	return b.String(), nil
}

// platforms reads architectures, of which a build file has one for now.
func (d *draft) platforms(r *rule, n *yaml.Node) {
	var names []string
	for _, e := range list(n) {
		v, _ := text(e)
		for p := range strings.FieldsFuncSeq(v, func(c rune) bool { return c == ',' || c == ' ' || c == ';' }) {
			if !strings.Contains(p, "/") {
				p = "linux/" + p
			}
			names = append(names, strings.ToLower(p))
		}
	}
	if len(names) == 0 {
		return
	}
	r.platform = names[0]
	if len(names) > 1 {
		d.note(n.Line, "%s: of the platforms %s only %s is built: an image of several platforms comes in a later version", r.label(), strings.Join(names, ", "), names[0])
		r.comment("TODO: the platforms were %s; here there is one for now.", strings.Join(names, ", "))
	}
}
