package githubtest

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"path"
	"strings"

	"github.com/registry-build/registry-build/handlers/forge/forgetest/gitserver"
)

// getContents: https://docs.github.com/rest/repos/contents#get-repository-content
func (s *Server) getContents(c *call) (answer, error) {
	ref, name := c.query("ref"), strings.Trim(c.vars["path"], "/")
	if ref == "" {
		ref = c.repo.defaultBranch
	}
	sha := c.repo.dir.Resolve(ref)
	if sha == "" {
		if c.query("ref") == "" {
			return answer{}, &apiError{status: http.StatusNotFound, message: "This repository is empty."}
		}
		return answer{}, &apiError{status: http.StatusNotFound, message: "No commit found for the ref " + ref}
	}
	if name == "" {
		return c.directory(sha, "", ref)
	}
	kind, err := c.repo.dir.Run("cat-file", "-t", sha+":"+name)
	if err != nil {
		return answer{}, errNotFound
	}
	if kind == "tree" {
		return c.directory(sha, name, ref)
	}
	list, err := c.repo.dir.List(sha, "--full-tree")
	if dir := path.Dir(name); dir != "." {
		list, err = c.repo.dir.List(sha + ":" + dir)
	}
	if err != nil {
		return answer{}, err
	}
	for _, e := range list {
		if e.Path != path.Base(name) {
			continue
		}
		text, err := c.repo.dir.Input(nil, "", "cat-file", "blob", e.SHA)
		if err != nil {
			return answer{}, err
		}
		if strings.Contains(c.r.Header.Get("Accept"), "raw") {
			s.complain("%s: the double has no raw contents; ask for JSON", c.r.URL.Path)
		}
		e.Path = name
		file := c.file(e, ref)
		switch {
		case e.Mode == "120000":
			file["type"], file["target"] = "symlink", text
		case e.Size > 1<<20: // 1 to 100 MB come without content
			file["encoding"], file["content"] = "none", ""
		default:
			file["encoding"], file["content"] = "base64", lines(base64.StdEncoding.EncodeToString([]byte(text)))
		}
		return ok(file)
	}
	return answer{}, errNotFound
}

// lines breaks base64 as GitHub does, after 60 characters.
func lines(s string) string {
	var b strings.Builder
	for len(s) > 60 {
		b.WriteString(s[:60] + "\n")
		s = s[60:]
	}
	b.WriteString(s + "\n")
	return b.String()
}

func (c *call) directory(sha, dir, ref string) (answer, error) {
	list, err := c.repo.dir.List(sha + ":" + dir)
	if err != nil {
		return answer{}, err
	}
	out := []any{}
	for _, e := range list {
		e.Path = path.Join(dir, e.Path)
		out = append(out, c.file(e, ref))
	}
	return ok(out)
}

func (c *call) file(e gitserver.Entry, ref string) object {
	kind := map[string]string{"tree": "dir", "commit": "submodule"}[e.Kind]
	if kind == "" {
		kind = "file"
	}
	if e.Mode == "120000" {
		kind = "symlink"
	}
	self, html := fmt.Sprintf("%s/contents/%s?ref=%s", c.repo.api(), e.Path, ref), c.repo.web()+"/blob/"+ref+"/"+e.Path
	git := c.repo.api() + "/git/blobs/" + e.SHA
	return object{
		"type": kind, "size": e.Size, "name": path.Base(e.Path), "path": e.Path, "sha": e.SHA, "url": self, "git_url": git, "html_url": html,
		"download_url": c.repo.web() + "/raw/" + ref + "/" + e.Path, "_links": object{"self": self, "git": git, "html": html},
	}
}

// getTree: https://docs.github.com/rest/git/trees#get-a-tree
func (s *Server) getTree(c *call) (answer, error) {
	if _, err := c.repo.dir.Run("rev-parse", "--verify", "--quiet", "HEAD"); err != nil {
		// Not in the documentation: https://github.com/github/docs/issues/31951
		if refs, err := c.repo.dir.Run("for-each-ref", "--count=1"); err == nil && refs == "" {
			return answer{}, &apiError{status: http.StatusConflict, message: "Git Repository is empty."}
		}
	}
	name := c.vars["tree_sha"]
	sha, err := c.repo.dir.Run("rev-parse", "--verify", "--quiet", "--end-of-options", name+"^{tree}")
	if err != nil {
		return answer{}, errNotFound
	}
	args := []string{}
	if c.query("recursive") != "" {
		args = append(args, "-r", "-t")
	}
	list, err := c.repo.dir.List(sha, args...)
	if err != nil {
		return answer{}, err
	}
	tree := []any{}
	for _, e := range list {
		item := object{"path": e.Path, "mode": e.Mode, "type": e.Kind, "sha": e.SHA}
		if e.Kind == "blob" {
			item["size"] = e.Size
		}
		if e.Kind != "commit" {
			item["url"] = c.repo.api() + "/git/" + e.Kind + "s/" + e.SHA
		}
		tree = append(tree, item)
	}
	return ok(object{"sha": sha, "url": c.repo.api() + "/git/trees/" + sha, "tree": tree, "truncated": false})
}

func (s *Server) getBlob(c *call) (answer, error) {
	sha := c.vars["file_sha"]
	if kind, err := c.repo.dir.Run("cat-file", "-t", sha); err != nil || kind != "blob" {
		return answer{}, errNotFound
	}
	text, err := c.repo.dir.Input(nil, "", "cat-file", "blob", sha)
	if err != nil {
		return answer{}, err
	}
	return ok(object{
		"sha": sha, "node_id": nodeID("Blob", c.repo.id) + sha, "size": len(text), "url": c.repo.api() + "/git/blobs/" + sha,
		"encoding": "base64", "content": lines(base64.StdEncoding.EncodeToString([]byte(text))),
	})
}

func (s *Server) getGitCommit(c *call) (answer, error) {
	sha := c.vars["commit_sha"]
	if !c.repo.has(sha) {
		return answer{}, errNotFound
	}
	m, err := c.repo.read(sha)
	if err != nil {
		return answer{}, err
	}
	parents := []any{}
	for _, p := range m.Parents {
		parents = append(parents, object{"sha": p, "url": c.repo.api() + "/git/commits/" + p, "html_url": c.repo.web() + "/commit/" + p})
	}
	return ok(object{
		"sha": sha, "node_id": nodeID("Commit", c.repo.id) + sha, "url": c.repo.api() + "/git/commits/" + sha, "html_url": c.repo.web() + "/commit/" + sha,
		"author": personJSON(m.Author), "committer": personJSON(m.Committer), "message": m.Message, "parents": parents, "verification": unsigned(),
		"tree": object{"sha": m.Tree, "url": c.repo.api() + "/git/trees/" + m.Tree},
	})
}

func (r *Repo) refJSON(ref, sha string) (object, error) {
	kind, err := r.dir.Run("cat-file", "-t", sha)
	if err != nil {
		return nil, err
	}
	return object{
		"ref": ref, "node_id": nodeID("Ref", r.id) + ref, "url": r.api() + "/git/" + ref,
		"object": object{"type": kind, "sha": sha, "url": r.api() + "/git/" + kind + "s/" + sha},
	}, nil
}

// matchingRefs lists refs by the beginning of their names:
// https://docs.github.com/rest/git/refs#list-matching-references
func (s *Server) matchingRefs(c *call) (answer, error) {
	refs, err := c.repo.dir.Refs()
	if err != nil {
		return answer{}, err
	}
	list := []any{}
	for _, name := range sorted(refs) {
		if !strings.HasPrefix(name, "refs/"+c.vars["ref"]) {
			continue
		}
		item, err := c.repo.refJSON(name, refs[name])
		if err != nil {
			return answer{}, err
		}
		list = append(list, item)
	}
	return c.page(list)
}

func (s *Server) getRef(c *call) (answer, error) {
	name := "refs/" + c.vars["ref"]
	refs, err := c.repo.dir.Refs(name)
	if err != nil {
		return answer{}, err
	}
	if refs[name] == "" {
		return answer{}, errNotFound
	}
	item, err := c.repo.refJSON(name, refs[name])
	if err != nil {
		return answer{}, err
	}
	return ok(item)
}

// getTag reads an annotated tag.
func (s *Server) getTag(c *call) (answer, error) {
	sha := c.vars["tag_sha"]
	if kind, err := c.repo.dir.Run("cat-file", "-t", sha); err != nil || kind != "tag" {
		return answer{}, errNotFound
	}
	out, err := c.repo.dir.Run("cat-file", "tag", sha)
	if err != nil {
		return answer{}, err
	}
	head, message, _ := strings.Cut(out, "\n\n")
	field := map[string]string{}
	for line := range strings.Lines(head) {
		k, v, _ := strings.Cut(strings.TrimSpace(line), " ")
		field[k] = v
	}
	return ok(object{
		"node_id": nodeID("Tag", c.repo.id) + sha, "tag": field["tag"], "sha": sha, "url": c.repo.api() + "/git/tags/" + sha, "message": message,
		"tagger": personJSON(gitserver.ParsePerson(field["tagger"])), "verification": unsigned(),
		"object": object{"type": field["type"], "sha": field["object"], "url": c.repo.api() + "/git/commits/" + field["object"]},
	})
}
