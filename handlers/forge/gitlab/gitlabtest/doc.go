// Package gitlabtest is a double of a GitLab server that misbehaves as GitLab
// does.
package gitlabtest
