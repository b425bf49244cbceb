// Package gitops is the kind of trigger that writes a new image into a file
// of a git repository, as a commit or as a pull request, for an operator such
// as Argo CD or Flux to roll out. It hides how the file is changed (package
// manifest), that git is spoken to without a work tree, that concurrent
// updates of one branch go as one commit, and that nobody's work is
// overwritten: a push is only taken on the commit that it was made from.
package gitops
