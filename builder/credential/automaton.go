package credential

// automaton finds all of a set of byte strings at once, in one pass, however
// the text is cut into pieces (Aho and Corasick, 1975). It is our own because
// a redactor needs two things that Go's libraries for it do not tell: which
// bytes can still become part of a match (open), and every match that ends
// at a byte, overlapping ones too (longest). It never changes once built.
//
// Children are linked lists, not maps: a 64 KiB secret with its encodings has
// more than a million nodes, and most have one child.
type automaton struct {
	root    [256]int32 // children of the root; 0: none
	char    []byte
	child   []int32 // first child; 0: none
	sibling []int32 // next child of the same parent; 0: none
	fail    []int32 // the longest proper suffix that is a prefix too
	longest []int32 // of the patterns that end here; 0: none
	open    []int32 // how many of the last bytes may be the beginning of a longer match
}

func newAutomaton(patterns []string) *automaton {
	a := &automaton{}
	a.node(0, 0) // the root
	for _, p := range patterns {
		a.insert(p)
	}
	a.link()
	return a
}

func (a *automaton) node(c byte, depth int32) int32 {
	a.char = append(a.char, c)
	a.child = append(a.child, 0)
	a.sibling = append(a.sibling, 0)
	a.fail = append(a.fail, 0)
	a.longest = append(a.longest, 0)
	a.open = append(a.open, depth)
	return int32(len(a.char) - 1)
}

func (a *automaton) insert(pattern string) {
	at := int32(0)
	for i := range len(pattern) {
		c := pattern[i]
		next := a.next(at, c)
		if next == 0 {
			next = a.node(c, int32(i+1))
			if at == 0 {
				a.root[c] = next
			} else {
				a.sibling[next] = a.child[at]
				a.child[at] = next
			}
		}
		at = next
	}
	a.longest[at] = int32(len(pattern))
}

// next is the child of at by c, 0 when there is none.
func (a *automaton) next(at int32, c byte) int32 {
	if at == 0 {
		return a.root[c]
	}
	for n := a.child[at]; n != 0; n = a.sibling[n] {
		if a.char[n] == c {
			return n
		}
	}
	return 0
}

// link fills in fail, longest and open, breadth first.
func (a *automaton) link() {
	queue := make([]int32, 0, len(a.char))
	for _, n := range a.root {
		if n != 0 {
			queue = append(queue, n)
		}
	}
	for i := 0; i < len(queue); i++ {
		at := queue[i]
		if a.child[at] == 0 {
			a.open[at] = a.open[a.fail[at]]
		}
		for n := a.child[at]; n != 0; n = a.sibling[n] {
			a.fail[n] = a.step(a.fail[at], a.char[n])
			if a.longest[n] == 0 {
				a.longest[n] = a.longest[a.fail[n]]
			}
			queue = append(queue, n)
		}
	}
}

// step reads one byte.
func (a *automaton) step(at int32, c byte) int32 {
	for {
		if n := a.next(at, c); n != 0 || at == 0 {
			return n
		}
		at = a.fail[at]
	}
}
