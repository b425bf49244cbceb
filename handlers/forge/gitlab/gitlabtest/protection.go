package gitlabtest

import (
	"os"
	"path/filepath"
	"strings"
)

// guardScript is what stands before a push by git's protocol, with the words
// of lib/gitlab/checks/branch_check.rb.
const guardScript = `#!/bin/sh
refuse() { echo "GitLab: $1" >&2; exit 1; }
while read -r old new ref; do
	case " $GITLABTEST_DENIED " in *" $ref "*) refuse "You are not allowed to push code to protected branches on this project." ;; esac
	case " $GITLABTEST_PROTECTED " in *" $ref "*) ;; *) continue ;; esac
	case $new in *[!0]*) ;; *) refuse "You can only delete protected branches using the web interface." ;; esac
	case $old in *[!0]*) git merge-base --is-ancestor "$old" "$new" || refuse "You are not allowed to force push code to a protected branch on this project." ;; esac
done
`

// guard puts the script into a new repository.
func (p *Project) guard() error {
	dir := filepath.Join(string(p.dir), "hooks")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "pre-receive"), []byte(guardScript), 0o755)
}

// protection tells the script what somebody may not do.
func (p *Project) protection(u *user) []string {
	if u == nil {
		return nil
	}
	p.s.mu.Lock()
	defer p.s.unlock()
	var denied, protected []string
	for branch, on := range p.protected {
		if !on {
			continue
		}
		protected = append(protected, "refs/heads/"+branch)
		if !p.pushes(u, branch) {
			denied = append(denied, "refs/heads/"+branch)
		}
	}
	return []string{"GITLABTEST_DENIED=" + strings.Join(denied, " "), "GITLABTEST_PROTECTED=" + strings.Join(protected, " ")}
}
