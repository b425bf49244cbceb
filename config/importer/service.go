package importer

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/registry-build/registry-build/config"
)

// service is one of those whose rules are read.
type service struct {
	title string
	keys  []string // in plainKey's form, that no other service has
	rule  func(d *draft, s *section) []*rule
}

func services() []service {
	return []service{
		{"ACR", []string{
			"buildrules", "buildrule", "pushtype", "pushname", "dockerfilelocation", "imagetag", "imagetags", "disablecachebuild", "overseabuild",
			"branch/tag", "dockerfiledirectory", "buildarchitecture", "buildwithserversdeployedoutsidechinesemainland", "buildwithoutcache",
			"dockerfile目录", "dockerfile文件名", "镜像版本", "构建架构", "海外源智能加速", "不使用缓存",
		}, acrRule},
		{"TCR", []string{
			"trigger", "dockerfilepath", "buildcontext", "tagrule", "overwritetag", "regex",
			"触发规则", "触发方式", "dockerfile路径", "构建目录", "版本规则", "版本命名规则", "镜像版本命名规则", "覆盖镜像版本", "自动触发",
		}, tcrRule},
	}
}

// expected says what is read, to somebody whose file is something else.
const expected = `expected are build rules of Alibaba ACR or Tencent TCR: the JSON that ACR's ListRepoBuildRule answers with, or a YAML file like

    service: tcr
    repository: ccr.ccs.tencentyun.com/acme/api
    rules:
      - {Trigger: regex, Regex: "^refs/heads/master$", DockerfilePath: build/Dockerfile, TagRule: {Prefix: v, Commit: true}}

see config/MIGRATION.md for both services' keys`

// detect tells by the keys whose rules they are.
func detect(name string, roots []*yaml.Node) (service, error) {
	fail := func(line int, format string, args ...any) (service, error) {
		return service{}, config.Diagnostics{{File: name, Line: line, Col: min(line, 1), Message: fmt.Sprintf(format, args...)}}
	}
	all := services()
	for _, root := range roots {
		s := sectionOf(root)
		for _, e := range s.entries {
			if v, ok := text(e.value); ok && (e.name == "service" || e.name == "服务") {
				i := slices.IndexFunc(all, func(s service) bool { return strings.EqualFold(s.title, v) })
				if i < 0 {
					return fail(e.line, `service is %q; write acr (Alibaba Cloud) or tcr (Tencent Cloud)`, v)
				}
				return all[i], nil
			}
		}
	}
	count := make([]int, len(all))
	var visit func(n *yaml.Node)
	visit = func(n *yaml.Node) {
		for i, c := range n.Content {
			if n.Kind == yaml.MappingNode && i%2 == 0 {
				for k, s := range all {
					if slices.Contains(s.keys, plainKey(c.Value)) {
						count[k]++
					}
				}
			}
			visit(c)
		}
	}
	for _, root := range roots {
		visit(root)
	}
	switch {
	case count[0] == 0 && count[1] == 0:
		return fail(0, "it holds no build rules that are known here; %s", expected)
	case count[0] == count[1]:
		return fail(0, `it has keys of ACR and of TCR; write "service: acr" or "service: tcr" at its top`)
	case count[0] > count[1]:
		return all[0], nil
	}
	return all[1], nil
}

// read reads a part of the source: an answer of an API, a repository, a list
// of either, or one rule.
func (d *draft) read(n *yaml.Node, repo repository) {
	d.readIn(n, repo, false)
}

// readIn reads what may stand in a list that is said to be one of rules.
func (d *draft) readIn(n *yaml.Node, repo repository, rules bool) {
	switch n.Kind {
	case yaml.SequenceNode:
		for _, c := range n.Content {
			d.readIn(c, repo, rules)
		}
		return
	case yaml.ScalarNode:
		d.note(n.Line, "%q is no build rule", n.Value)
		return
	}
	s := sectionOf(n)
	s.take("service", "服务")
	// What answers are wrapped in, by the services and by their clients.
	for _, name := range []string{"requestid", "code", "headers", "statuscode", "instanceid", "repoid", "pageno", "pagesize"} {
		s.take(name)
	}
	if ok, known := boolean(s.take("issuccess")); known && !ok {
		d.note(s.line, "this is an answer of a call that failed, not one with rules")
	}
	d.repository(s, &repo)
	total, _ := text(s.take("totalcount"))
	found := false
	for _, key := range []string{"body", "data", "response", "repositories", "buildrules", "buildrule", "rules", "构建规则"} {
		inner := s.take(key)
		if inner == nil {
			continue
		}
		found = true
		entries := list(inner)
		if n := len(entries); key == "buildrules" && total != "" && total != fmt.Sprint(n) {
			d.note(inner.Line, "the answer holds %d of %s rules; ask for the others with PageNo, or for all with PageSize=%s", n, total, total)
		}
		for _, e := range entries {
			d.readIn(e, repo, strings.Contains(key, "rule") || key == "构建规则")
		}
	}
	switch {
	case !found && (rules || s.hasUnread(d.service.keys)):
		d.rule(s, repo)
		return
	case !found:
		d.note(s.line, "there is no build rule in it")
	}
	d.unread(s, "")
}

// repository reads what stands beside a list of rules, or in a rule, and is
// about the image repository as a whole.
func (d *draft) repository(s *section, repo *repository) {
	if v, ok := text(s.take("repository", "镜像仓库", "镜像地址")); ok {
		repo.name = v
	} else {
		namespace, _ := text(s.take("reponamespacename", "reponamespace", "命名空间"))
		name, _ := text(s.take("reponame", "仓库名称"))
		if name != "" {
			repo.name = strings.Trim(namespace+"/"+name, "/")
		}
	}
	d.toggle(s, &repo.automatic, false, "AutoBuild", "automaticallybuildimageswhencodechanges", "代码变更时自动构建镜像", "自动触发")
	d.toggle(s, &repo.cache, true, "DisableCacheBuild", "buildwithoutcache", "不使用缓存")
	var oversea, accelerated bool
	line := s.line
	d.toggle(s, &oversea, false, "OverseaBuild", "buildwithserversdeployedoutsidechinesemainland", "海外源智能加速")
	if oversea {
		d.note(line, "building outside of mainland China (OverseaBuild): where builds run is the operator's, with buildkit and registry.mirrors in the server file")
	}
	d.toggle(s, &accelerated, false, "Accelerated", "acceleratedimage", "acceleratedimages", "镜像加速", "加速镜像")
	if accelerated {
		d.note(line, `accelerated images: "accelerated" has its place in the build file and comes in a later version`)
	}
	for _, key := range []string{"codesource", "代码源", "coderepository", "代码仓库", "coderepotype", "coderepoid", "coderepodomain", "codereponame", "codereponamespacename", "organization", "group"} {
		s.take(key) // the file stands in that repository
	}
}

// toggle reads a switch, under its title or another name; negated: on means
// false.
func (d *draft) toggle(s *section, to *bool, negated bool, title string, names ...string) {
	n := s.take(append(names, plainKey(title))...)
	if n == nil {
		return
	}
	d.switches = true
	if v, ok := boolean(n); ok {
		*to = v != negated
		return
	}
	d.note(n.Line, "%s is %q, which is no switch; write true or false", title, n.Value)
}

// unread notes what was not understood.
func (d *draft) unread(s *section, label string) {
	for _, e := range s.left() {
		of := ""
		if label != "" {
			of = " of " + label
		}
		if s.has(e.name) {
			d.note(e.line, "the key %q%s stands there once more, and only the first counts", e.key, of)
			continue
		}
		d.note(e.line, "the key %q%s is not known here", e.key, of)
	}
}

// rule reads one rule, of which TCR's may come to several here.
func (d *draft) rule(s *section, repo repository) {
	d.count++
	rules := d.service.rule(d, s)
	d.unread(s, fmt.Sprintf("rule %d", d.count))
	if len(rules) == 0 {
		return
	}
	im := d.image(repo.name)
	if len(d.images) > maxImages {
		d.images = d.images[:maxImages]
		d.note(s.line, "the rule is for the image %q; a build file has %d at most", repo.name, maxImages)
		return
	}
	for _, r := range rules {
		r.cache, r.automatic = r.cache && repo.cache, r.automatic && repo.automatic
		all := 0
		for _, im := range d.images {
			all += len(im.rules)
		}
		if len(im.rules) == maxRules || all == maxAll {
			d.note(s.line, "rule %d is left out: an image has at most %d rules, a build file %d", d.count, maxRules, maxAll)
			continue
		}
		im.rules = append(im.rules, r)
	}
}
