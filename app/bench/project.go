package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// project is a repository that both sides have built once, so that their
// caches are warm, and the image repository of the side that is not ours.
type project struct {
	*repository
	file  string // what commits change
	other string
}

// openProject makes a project the first time that it is asked for.
func (in *installation) openProject(ctx context.Context, name, file string, write func(dir string) error) (*project, error) {
	if p, ok := in.projects[name]; ok {
		return p, nil
	}
	r, err := in.create(ctx, name, write)
	if err != nil {
		return nil, err
	}
	if _, err := r.push(ctx, "main"); err != nil {
		return nil, err
	}
	p := &project{repository: r, file: file, other: in.Host() + "/" + name + "-by-buildctl"}
	if _, err := in.buildPush(ctx, r.dir, p.other+":latest"); err != nil {
		return nil, err
	}
	in.projects[name] = p
	return p, nil
}

// change commits one other line in the project's file.
func (p *project) change(ctx context.Context, side string, round int) (commit string, err error) {
	return p.commit(ctx, p.file, string(prose(1007, 8<<10))+fmt.Sprintf("// %s %d\n", side, round))
}

const bigFiles = 8700

// The whole context is needed, as COPY . does in most Dockerfiles; the image
// is small, so that a round does not wait for 100 MB to be compressed after
// the moment that is measured.
const bigDockerfile = `FROM scratch AS source
COPY . /src
FROM scratch
COPY --from=source /src/services/part03 /services/part03
`

// buildFile builds main and release tags.
const buildFile = `version: 1
images:
  - name: image
    rules:
      - branch: main
        tags: [latest]
      - tag: "v*"
        tags: ["${tag}"]
`

// ignoreFile spares buildctl git's own folder, which would be sent with a
// local context. Without it a new git tag even changes the context.
const ignoreFile = ".git\n"

// openBig is a repository of some 8,700 files and 105 MB.
func (in *installation) openBig(ctx context.Context) (*project, error) {
	return in.openProject(ctx, "acme/big", "services/part03/changes.go", func(dir string) error {
		files := map[string][]byte{
			"Dockerfile": []byte(bigDockerfile), ".registry-build.yml": []byte(buildFile), ".dockerignore": []byte(ignoreFile),
			"services/part03/changes.go": []byte("// none\n"),
		}
		for i := range bigFiles {
			name := fmt.Sprintf("services/part%02d/module%d/file%04d.go", i%60, i%11, i)
			files[name] = prose(uint64(i), 1000+(i*7919)%22200)
		}
		return writeFiles(dir, files)
	})
}

// An image as most are: a base from a registry, a step that installs what
// changes seldom, and the source last. Everything but the last layer is
// cached, on both sides.
const appDockerfile = `FROM %s/acme/base:1
WORKDIR /app
COPY deps.txt ./
RUN mkdir deps && for i in $(seq 40); do cat deps.txt > deps/$i; done && seq 400000 > deps/index
COPY src/ src/
CMD ["/bin/sh", "-c", "ls src"]
`

const appFiles = 200

// openApp is an application of 200 source files, 2 MB, on a base of 13 MB.
func (in *installation) openApp(ctx context.Context) (*project, error) {
	if _, ok := in.projects["acme/app"]; !ok {
		if err := in.makeBase(ctx); err != nil {
			return nil, err
		}
	}
	return in.openProject(ctx, "acme/app", "src/changes.go", func(dir string) error {
		files := map[string][]byte{
			"Dockerfile": fmt.Appendf(nil, appDockerfile, in.Host()), ".registry-build.yml": []byte(buildFile),
			"deps.txt": prose(9, 200<<10), "README.md": prose(10, 8<<10), ".dockerignore": []byte(ignoreFile),
			"src/changes.go": []byte("// none\n"),
		}
		for i := range appFiles {
			files[fmt.Sprintf("src/module%03d.go", i)] = prose(uint64(10_000+i), 4<<10+(i*7919)%12288)
		}
		return writeFiles(dir, files)
	})
}

// makeBase pushes the base: a static busybox and 11 MB that compress as
// programs do.
func (in *installation) makeBase(ctx context.Context) error {
	path, err := exec.LookPath("busybox")
	if err != nil {
		return fmt.Errorf("%w; install it with `apt-get install busybox-static`", err)
	}
	busybox, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	dir := in.path("work", "base")
	if err := writeFiles(dir, map[string][]byte{
		"Dockerfile":  []byte("FROM scratch\nCOPY busybox /bin/busybox\nRUN [\"/bin/busybox\", \"--install\", \"-s\", \"/bin\"]\nCOPY lib/ /usr/lib/\n"),
		"lib/one.so":  prose(1, 4<<20),
		"lib/two.so":  prose(2, 6<<20),
		"lib/three.h": prose(3, 1<<20),
	}); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "busybox"), busybox, 0o755); err != nil {
		return err
	}
	_, err = in.buildPush(ctx, dir, in.Host()+"/acme/base:1")
	return err
}
