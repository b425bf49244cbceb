package gitlabtest

import (
	"github.com/registry-build/registry-build/handlers/forge/forgetest/gitserver"
)

// read reads a commit, from git only once: it never changes.
func (p *Project) read(sha string) (gitserver.Commit, error) {
	if c, known := p.commits[sha]; known {
		return c, nil
	}
	c, err := p.dir.Read(sha)
	if err == nil {
		p.commits[sha] = c
	}
	return c, err
}
