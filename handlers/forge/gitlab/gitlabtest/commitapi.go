package gitlabtest

import (
	"encoding/base64"
	"fmt"
	"net/http"
)

// createCommit: https://docs.gitlab.com/api/commits/#create-a-commit
func (s *Server) createCommit(c *call) (answer, error) {
	if err := c.require("branch", "commit_message", "actions"); err != nil {
		return answer{}, err
	}
	branch := c.text("branch")
	tip := c.proj.branch(branch)
	start := tip
	switch {
	case !c.proj.pushes(c.user, branch):
		return answer{}, refuse(http.StatusForbidden, "You are not allowed to push into this branch")
	case c.has("start_branch") && c.has("start_sha"):
		return answer{}, invalid("start_branch, start_sha are mutually exclusive")
	case c.has("start_branch") || c.has("start_sha"):
		if force, _ := c.boolean("force"); tip != "" && !force {
			return answer{}, refuse(http.StatusBadRequest, "A branch called '"+branch+"' already exists. Switch to that branch in order to make changes")
		}
		if start = c.proj.branch(c.text("start_branch")); c.has("start_sha") {
			start = c.proj.dir.Resolve(c.text("start_sha"))
		}
		if start == "" {
			return answer{}, refuse(http.StatusBadRequest, "Invalid reference name: "+c.text("start_branch")+c.text("start_sha"))
		}
	case tip == "" && !c.proj.empty():
		return answer{}, refuse(http.StatusBadRequest, "You can only create or edit files when you are on a branch")
	}
	files, err := c.actions(start)
	if err != nil {
		return answer{}, err
	}
	sha, err := c.proj.dir.Commit(start, c.text("commit_message"), files, s.who(c.user))
	if err != nil {
		return answer{}, err
	}
	if err := c.proj.set(c.user, map[string]string{"refs/heads/" + branch: sha}); err != nil {
		return answer{}, err
	}
	body, err := c.proj.commitDetail(sha)
	if err != nil {
		return answer{}, err
	}
	return created(body)
}

// actions reads what is to be done to the files, with Gitaly's refusals.
func (c *call) actions(start string) (map[string]*string, error) {
	list, isList := c.params["actions"].([]any)
	if !isList || len(list) == 0 {
		return nil, invalid("actions is empty")
	}
	files := map[string]*string{}
	for i, one := range list {
		a, _ := one.(map[string]any)
		action, path, text := toText(a["action"]), toText(a["file_path"]), toText(a["content"])
		if a["file_path"] == nil || path == "" {
			return nil, invalid(fmt.Sprintf("actions[%d][file_path] is missing", i))
		}
		if a["encoding"] == "base64" {
			plain, err := base64.StdEncoding.DecodeString(text)
			if err != nil {
				return nil, refuse(http.StatusBadRequest, "invalid base64")
			}
			text = string(plain)
		}
		_, err := c.proj.dir.Run("cat-file", "-e", start+":"+path)
		there := start != "" && err == nil
		if known, touched := files[path]; touched {
			there = known != nil
		}
		switch action {
		case "create":
			if there {
				return nil, refuse(http.StatusBadRequest, "A file with this name already exists")
			}
			files[path] = &text
		case "update":
			if !there {
				return nil, refuse(http.StatusBadRequest, "A file with this name doesn't exist")
			}
			files[path] = &text
		case "delete":
			if !there {
				return nil, refuse(http.StatusBadRequest, "A file with this name doesn't exist")
			}
			files[path] = nil
		case "move", "chmod":
			return nil, fmt.Errorf("the double has no action %s", action)
		default:
			return nil, invalid(fmt.Sprintf("actions[%d][action] does not have a valid value", i))
		}
	}
	return files, nil
}
