// Package source makes one commit of a repository readable without checking
// it out: files by path, and build contexts as virtual file systems over git
// objects. It hides where the repository is (a directory of this machine, or
// a remote kept in a bare mirror), how commits get here, and the git
// processes that read them.
//
// Contexts look to BuildKit's receiver like a folder whose unchanged files
// kept their size and time, so that only changed files are transferred. The
// two rules that this rests on are told at the functions stat and compare.
package source
