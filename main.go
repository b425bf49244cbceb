// Command registry-build turns a git push into a tagged container image.
package main

import (
	"os"

	"github.com/registry-build/registry-build/app"
)

func main() { os.Exit(app.Main(os.Args, os.Stdin, os.Stdout, os.Stderr)) }
