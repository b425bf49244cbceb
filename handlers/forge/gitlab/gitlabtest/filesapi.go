package gitlabtest

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"path"
	"strings"

	"github.com/registry-build/registry-build/handlers/forge/forgetest/gitserver"
)

// getTree: https://docs.gitlab.com/api/repositories/#list-all-repository-trees-in-a-project
func (s *Server) getTree(c *call) (answer, error) {
	ref := c.text("ref")
	if ref == "" {
		ref = c.proj.defaultBranch
	}
	sha := c.proj.dir.Resolve(ref)
	if sha == "" {
		return answer{}, notFound("Tree")
	}
	dir := strings.Trim(c.text("path"), "/")
	var args []string
	if deep, _ := c.boolean("recursive"); deep {
		args = []string{"-r", "-t"}
	}
	entries, err := c.proj.dir.List(sha+":"+dir, args...)
	if err != nil {
		return answer{}, notFound("invalid revision or path") // since 17.7, an empty list before
	}
	list := []any{}
	for _, kind := range []string{"tree", "blob", "commit"} { // folders first
		for _, e := range entries {
			if e.Kind == kind {
				list = append(list, object{"id": e.SHA, "name": path.Base(e.Path), "type": e.Kind, "path": path.Join(dir, e.Path), "mode": e.Mode})
			}
		}
	}
	return c.page(list)
}

// file finds the path's file at the asked ref.
func (c *call) file() (e gitserver.Entry, text, sha string, err error) {
	ref := c.text("ref")
	if ref == "" {
		if c.name == "GET /projects/{id}/repository/files/{path}" {
			return e, "", "", invalid("ref is missing")
		}
		ref = "HEAD"
	}
	if ref == "HEAD" {
		ref = c.proj.defaultBranch
	}
	name := c.vars["path"]
	if sha = c.proj.dir.Resolve(ref); sha == "" {
		return e, "", "", notFound("Commit")
	}
	list, err := c.proj.dir.List(sha, "--full-tree")
	if dir := path.Dir(name); dir != "." {
		list, err = c.proj.dir.List(sha + ":" + dir)
	}
	if err != nil {
		return e, "", "", notFound("File")
	}
	for _, one := range list {
		if one.Path == path.Base(name) && one.Kind == "blob" {
			text, err = c.proj.dir.Input(nil, "", "cat-file", "blob", one.SHA)
			return one, text, sha, err
		}
	}
	return e, "", "", notFound("File")
}

// getFile: https://docs.gitlab.com/api/repository_files/#retrieve-a-file-from-a-repository
func (s *Server) getFile(c *call) (answer, error) {
	e, text, sha, err := c.file()
	if err != nil {
		return answer{}, err
	}
	name := c.vars["path"]
	last, err := c.proj.dir.Run("rev-list", "-1", sha, "--", name)
	if err != nil {
		return answer{}, err
	}
	body := object{
		"file_name": path.Base(name), "file_path": name, "size": len(text), "encoding": "base64", "content_sha256": fmt.Sprintf("%x", sha256.Sum256([]byte(text))),
		"ref": c.text("ref"), "blob_id": e.SHA, "commit_id": sha, "last_commit_id": last, "execute_filemode": e.Mode == "100755",
	}
	h := http.Header{}
	for k, v := range body {
		h.Set("X-Gitlab-"+strings.ReplaceAll(k, "_", "-"), toText(v))
	}
	if c.r.Method == http.MethodHead {
		return answer{status: http.StatusOK, header: h}, nil
	}
	body["content"] = base64.StdEncoding.EncodeToString([]byte(text))
	return answer{status: http.StatusOK, body: body, header: h}, nil
}

// getRawFile: https://docs.gitlab.com/api/repository_files/#retrieve-a-raw-file-from-a-repository
func (s *Server) getRawFile(c *call) (answer, error) {
	_, text, _, err := c.file()
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusOK, body: []byte(text), header: http.Header{"Content-Type": {"text/plain"}}}, nil
}
