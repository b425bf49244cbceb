package builder

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/registry-build/registry-build/config"
)

// maxSuggestedImages is how many images a suggested file has at most.
const maxSuggestedImages = 50

// Suggest writes a build file for the Dockerfiles of a repository: an image
// for each, built for the default branch, version tags and pull requests.
// name is the repository's. Dockerfiles whose paths a build file cannot hold
// are left out; the file always parses. Without any it is for the Dockerfile
// at the root that there may be one day.
func Suggest(dockerfiles []string, name, defaultBranch string) Suggestion {
	var images []suggested
	var used []string
	for _, file := range dockerfiles {
		if len(images) == maxSuggestedImages {
			break
		}
		img := suggestImage(path.Clean(file), name)
		_, problems := config.ParseBuildFile(buildFileName, []byte(writeImages([]suggested{img}, "main")))
		if len(problems) > 0 || slices.Contains(used, file) {
			continue
		}
		images, used = append(images, img), append(used, file)
	}
	if len(images) == 0 {
		images = []suggested{{dockerfile: "Dockerfile", context: "."}}
	}
	distinctNames(images)
	text := writeImages(images, orText(defaultBranch, "main"))
	if _, problems := config.ParseBuildFile(buildFileName, []byte(text)); len(problems) > 0 {
		text = writeImages(images, "main") // a branch that no pattern can be
	}
	return Suggestion{Dockerfiles: used, File: text}
}

// suggested is an image that a Dockerfile seems to be for.
type suggested struct {
	name, dockerfile, context string
	folder                    string // whose name tells it from another of the same name
}

// suggestImage reads what people say by where they put a Dockerfile and how
// they call it: services/api/Dockerfile, Dockerfile.api, build/api.Dockerfile.
func suggestImage(file, repository string) suggested {
	dir, base := path.Split(file)
	dir = path.Clean(dir) // "." for the root
	variant := strings.TrimSuffix(base, ".Dockerfile")
	if variant == base {
		variant = strings.TrimPrefix(strings.TrimPrefix(base, "Dockerfile"), ".")
	}
	// A folder that only collects Dockerfiles names no image, and what they
	// copy is beside it.
	for plainFolder(path.Base(dir)) {
		dir = path.Dir(dir)
	}
	owner := path.Base(dir)
	if dir == "." {
		owner = repository
	}
	img := suggested{dockerfile: file, context: dir, folder: dir, name: imageName(owner)}
	switch {
	case variant == "":
	case dir == ".":
		img.name = imageName(variant)
	default:
		img.name = imageName(owner + "-" + variant)
	}
	return img
}

func plainFolder(name string) bool {
	switch strings.ToLower(name) {
	case "build", "docker", ".docker", "dockerfiles", "deploy", "deployment", "ci", "container", "containers", "images", "package":
		return true
	}
	return false
}

var noNameRunes = regexp.MustCompile(`[^a-z0-9]+`)

const maxNameText = 60 // characters

// imageName makes a name that is valid of any text.
func imageName(text string) string {
	name := strings.Trim(noNameRunes.ReplaceAllString(strings.ToLower(text), "-"), "-")
	name = strings.Trim(name[:min(len(name), maxNameText)], "-")
	return orText(name, "image")
}

// distinctNames gives images of one name the names of their folders, and
// numbers where these are the same too.
func distinctNames(images []suggested) {
	count := map[string]int{}
	for _, img := range images {
		count[img.name]++
	}
	taken := map[string]bool{}
	for i := range images {
		img := &images[i]
		if parent := path.Base(path.Dir(img.folder)); count[img.name] > 1 && img.folder != "." && parent != "." {
			img.name = imageName(parent + "-" + img.name)
		}
		base := img.name
		for n := 2; taken[img.name]; n++ {
			img.name = fmt.Sprintf("%s-%d", base, n)
		}
		taken[img.name] = true
	}
}

func writeImages(images []suggested, branch string) string {
	var b strings.Builder
	b.WriteString("# Which images are built out of this repository, when, and under which tags.\nversion: 1\nimages:\n")
	for _, img := range images {
		// The only image has the repository's name.
		first := "  - "
		if len(images) > 1 {
			fmt.Fprintf(&b, "  - name: %s\n", yamlText(img.name))
			first = "    "
		}
		fmt.Fprintf(&b, "%sdockerfile: %s\n", first, yamlText(img.dockerfile))
		if img.context != "." {
			fmt.Fprintf(&b, "    context: %s\n", yamlText(img.context))
		}
		fmt.Fprintf(&b, "    rules:\n      - branch: %s\n        tags: [latest]\n", yamlText(branch))
		b.WriteString("      - tag: \"v*\"\n        tags: [\"${tag}\"]\n      - pullRequest: true\n")
	}
	return b.String()
}

// plainYAML is what means itself in YAML without quotes.
var plainYAML = regexp.MustCompile(`^[A-Za-z.][A-Za-z0-9_./-]*$`)

// yamlText writes a text as a YAML scalar.
func yamlText(s string) string {
	switch strings.ToLower(s) {
	case "true", "false", "null", "yes", "no", "on", "off", "y", "n", ".nan", ".inf":
	default:
		if plainYAML.MatchString(s) {
			return s
		}
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}
