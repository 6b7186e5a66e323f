package strictyaml

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ataraxis.dev/landfall/shared/fault"
)

type sample struct {
	Name     string            `yaml:"name,required"`
	Count    int               `yaml:"count"`
	Small    int8              `yaml:"small"`
	Size     uint16            `yaml:"size"`
	Ratio    float64           `yaml:"ratio"`
	On       bool              `yaml:"on"`
	Wait     time.Duration     `yaml:"wait"`
	Memory   ByteSize          `yaml:"memory"`
	Address  netip.Addr        `yaml:"address"`
	List     []string          `yaml:"list"`
	Map      map[string]inner  `yaml:"map"`
	Pointer  *inner            `yaml:"pointer"`
	Any      any               `yaml:"any"`
	Shape    shape             `yaml:"shape"`
	Labels   map[string]string `yaml:"labels"`
	Ignored  string            `yaml:"-"`
	Untagged string
}

type inner struct {
	Key   string `yaml:"key,required"`
	Other *int   `yaml:"other"`
}

// shape is a bare word, a list of words or a mapping.
type shape struct {
	Words []string `yaml:"words"`
}

func (s *shape) UnmarshalStrict(v Value) {
	type mapping shape
	switch {
	case v.IsScalar():
		s.Words = make([]string, 1)
		v.Decode(&s.Words[0])
	case v.IsList():
		v.Decode(&s.Words)
	case v.IsMapping():
		v.Decode((*mapping)(s))
	default:
		v.WrongType("words")
	}
}

func TestDecode(t *testing.T) {
	text := `
name: "x"
count: 0x10
small: -128
size: 65535
ratio: 3
on: true
wait: 1h30m
memory: 512MiB
address: 10.0.0.1
list: [a, 2026-01-01]
map:
  one: {key: k, other: 0}
pointer: {key: p}
any: {s: x, i: 1, f: 1.5, b: false, n: ~, l: [1, {a: b}]}
shape: word
labels: {}
`
	var got sample
	document, problems := Decode("x.yaml", []byte(text), &got)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	zero := 0
	want := sample{
		Name: "x", Count: 16, Small: -128, Size: 65535, Ratio: 3, On: true,
		Wait: 90 * time.Minute, Memory: 512 << 20, Address: netip.MustParseAddr("10.0.0.1"),
		List: []string{"a", "2026-01-01"}, Map: map[string]inner{"one": {Key: "k", Other: &zero}}, Pointer: &inner{Key: "p"},
		Any: map[string]any{
			"s": "x", "i": int64(1), "f": 1.5, "b": false, "n": nil,
			"l": []any{int64(1), map[string]any{"a": "b"}},
		},
		Shape: shape{Words: []string{"word"}}, Labels: map[string]string{},
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
	if document.File != "x.yaml" || !document.Has() {
		t.Errorf("document %+v", document)
	}
}

// TestProblems gives one mistake after the other; every line of want must be reported
// in this order, and nothing else.
func TestProblems(t *testing.T) {
	const known = "name, count, small, size, ratio, on, wait, memory, address, list, map, pointer, any, shape, labels"
	cases := []struct {
		name, text string
		want       []string
	}{
		{"unknown key", "name: a\ncuont: 1", []string{`2:1: unknown key "cuont": did you mean "count"?`}},
		{"unknown nested key", "name: a\nmap: {m: {key: k, kye: 1}}", []string{`2:19: unknown key "kye" in map.m: did you mean "key"?`}},
		{"no near name", "name: a\npointer: {key: k, zzz: 1}", []string{`2:19: unknown key "zzz" in pointer (known: key, other)`}},
		{"untagged field", "name: a\nUntagged: 1\nIgnored: 2", []string{
			`2:1: unknown key "Untagged" (known: ` + known + `)`, `3:1: unknown key "Ignored" (known: ` + known + `)`,
		}},
		{"missing keys", "map: {m: {}}", []string{`1:1: the key "name" is missing`, `1:10: map.m: the key "key" is missing`}},
		{"duplicate", "name: a\nname: b\ncount: 1\ncount: 2", []string{
			`2:1: duplicate key "name": it stands on line 1 already`, `4:1: duplicate key "count": it stands on line 3 already`,
		}},
		{"duplicate in any", "name: a\nany: {x: 1, x: 2}", []string{`2:13: duplicate key "x": it stands on line 2 already`}},
		{"wrong types", "name: [a]\ncount: x\nsmall: 128\nsize: -1\nratio: true\non: yes\nlist: a\nmap: [1]\npointer: 5", []string{
			`1:7: name: expected a string, found a list`,
			`2:8: count: expected a whole number, found the string "x"`,
			`3:8: small: expected a whole number, found the number 128`,
			`4:7: size: expected a whole number of zero or more, found the number -1`,
			`5:8: ratio: expected a number, found true`,
			`6:5: on: expected true or false, found the string "yes"`,
			`7:7: list: expected a list, found the string "a"`,
			`8:6: map: expected a mapping, found a list`,
			`9:10: pointer: expected a mapping, found the number 5`,
		}},
		{"strings need quotes", "name: 8080\nlist: [true, 1e3, ok]", []string{
			`1:7: name: expected a string, found the number 8080: write it in quotes, "8080"`,
			`2:8: list[0]: expected a string, found true: write it in quotes, "true"`,
			`2:14: list[1]: expected a string, found the number 1e3: write it in quotes, "1e3"`,
		}},
		{"nulls", "name:\nlist: ~\nmap: null\npointer:\nwait:\non:\nshape:", []string{
			`1:6: name: expected a string, found nothing`,
			`2:7: list: expected a list, found nothing`,
			`3:6: map: expected a mapping, found nothing`,
			`4:9: pointer: expected a mapping, found nothing`,
			`5:6: wait: expected a text, found nothing`,
			`6:4: on: expected true or false, found nothing`,
			`7:7: shape: expected words, found nothing`,
		}},
		{"texts", "name: a\nwait: 5 parsecs\nmemory: 5\naddress: home\nshape: {word: 1}", []string{
			`2:7: wait: "5 parsecs" is not a duration: want a number with a unit ms, s, m or h, as in 15s, 2m or 1h30m`,
			`3:9: memory: size "5" has no unit: want a number with a unit B, KiB, MiB, GiB, TiB, KB, MB, GB or TB, as in 512MiB`,
			`4:10: address: ParseAddr("home"): unable to parse IP`,
			`5:9: unknown key "word" in shape: did you mean "words"?`,
		}},
		{"text as list", "name: a\nwait: [1s]", []string{`2:7: wait: expected a text, found a list`}},
		{"tags", "name: !secret a\nany: !!binary aGk=", []string{
			`1:7: name: the tag !secret is not allowed here`, `2:6: any: the tag !!binary is not allowed here`,
		}},
		{"number too large", "name: a\nany: 99999999999999999999\ncount: 99999999999999999999", []string{
			`3:8: count: expected a whole number, found the number 99999999999999999999`,
		}},
		{"keys that are no words", "name: a\nany: {[1]: 2}", []string{`2:7: any: a key must be a plain word`}},
		{"not a mapping", "- a", []string{`1:1: expected a mapping, found a list`}},
		{"a word", "hello", []string{`1:1: expected a mapping, found the string "hello"`}},
		{"merge of a word", "name: a\nmap: {a: {key: k, <<: [x, {other: 1}]}}", []string{`2:24: map.a.<<: expected a mapping to merge, found the string "x"`}},
		{"problem behind two aliases", "name: a\nmap: {a: &a {key: 1}, b: *a}", []string{
			`2:19: map.a.key: expected a string, found the number 1: write it in quotes, "1"`,
			`2:19: map.b.key: expected a string, found the number 1: write it in quotes, "1"`,
		}},
		{"long values are cut", "name: a\ncount: " + strings.Repeat("y", 50), []string{
			`2:8: count: expected a whole number, found the string "` + strings.Repeat("y", 40) + `..."`,
		}},
		{"empty", "", []string{`1:1: the file is empty`}},
		{"only null", "~", []string{`1:1: the file is empty`}},
		{"only comments", "# a\n", []string{`1:1: the file is empty`}},
		{"two documents", "name: a\n---\nname: b\n", []string{`2:1: a second document starts here: one file holds one document`}},
		{"second document broken", "name: a\n---\n{\n", []string{`4:1: not valid YAML: did not find expected node content`}},
		{"unclosed list", "name: a\nlist: [a\ncount: 1\n", []string{`2:1: not valid YAML: did not find expected ',' or ']'`}},
		{"bad indentation", "name: a\nmap:\n  x: 1\n y: 2\n", []string{`4:2: not valid YAML: did not find expected key`}},
		{"tab", "name: a\n\tcount: 1\n", []string{`2:1: not valid YAML: found a tab character that violates indentation`}},
		{"unknown anchor", "name: a\nany: *x\n", []string{`2:6: not valid YAML: unknown anchor 'x' referenced`}},
		{"not UTF-8", "name: a\nany: é\xff\n", []string{`2:7: byte 0xff is not allowed: the file must be UTF-8 text`}},
		{"control character", "name: \x00", []string{`1:7: byte 0x00 is not allowed: the file must be UTF-8 text`}},
		{"too large", strings.Repeat("#", MaxBytes+1), []string{`1:1: the file has 1048577 bytes, more than the 1048576 allowed`}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var into sample
			document, problems := Decode("f", []byte(c.text), &into)
			if document == nil {
				t.Fatal("no document")
			}
			var got []string
			for _, p := range problems {
				got = append(got, strings.TrimPrefix(p.String(), "f:"))
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestMergedKeys(t *testing.T) {
	var got map[string]map[string]string
	_, problems := Decode("f", []byte(`
base: &base {a: base, b: base}
more: &more {b: more, c: more}
one: {<<: *base, a: own}
two: {<<: [*base, *more], d: own}
`), &got)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if diff := cmp.Diff(map[string]string{"a": "own", "b": "base"}, got["one"]); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]string{"a": "base", "b": "base", "c": "more", "d": "own"}, got["two"]); diff != "" {
		t.Error(diff)
	}
}

// TestHostileInputIsCheap gives documents that grow without end when they are followed.
func TestHostileInputIsCheap(t *testing.T) {
	bomb := "a0: &a0 [x]\n"
	for i := 1; i < 40; i++ {
		bomb += fmt.Sprintf("a%d: &a%d [*a%d, *a%d]\n", i, i, i-1, i-1)
	}
	merges := "m0: &m0 {k: v}\n"
	for i := 1; i < 40; i++ {
		merges += fmt.Sprintf("m%d: &m%d {<<: [*m%d, *m%d]}\n", i, i, i-1, i-1)
	}
	wide := "m: &m {" + strings.Repeat("? {} : 1, ", 10) + "k0: 1"
	for i := 1; i < 300; i++ {
		wide += fmt.Sprintf(", k%d: 1", i)
	}
	wide += "}\nl:\n" + strings.Repeat("- {<<: *m}\n", 300)
	cases := map[string]struct{ text, want string }{
		"aliases":          {bomb, "the document is too large once its aliases are followed"},
		"merges":           {merges, "the document is too large once its aliases are followed"},
		"wide merges":      {wide, "the document is too large once its aliases are followed"},
		"alias in itself":  {"a: &a [*a]", "an alias that contains itself"},
		"self-merge":       {"a: &a {<<: [*a, *a]}", ""},
		"deep lists":       {"a: " + strings.Repeat("[", 2000) + strings.Repeat("]", 2000), "nested deeper than 64 levels"},
		"very deep":        {strings.Repeat("[", 200_000), "exceeded max depth"},
		"many values":      {"a: [" + strings.Repeat("1,", 100_000) + "]", "the document is too large"},
		"many unknown":     {"x: 1\n" + strings.Repeat("- ", 3), "not valid YAML"},
		"alias of itself2": {"a: &a {b: *a}", "an alias that contains itself"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var into map[string]any
			start := time.Now()
			document, problems := Decode("f", []byte(c.text), &into)
			document.At("a", "b", "k")
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("took %s", took)
			}
			text := problems.Error()
			if c.want != "" && !strings.Contains(text, c.want) {
				t.Errorf("got %.300s", text)
			}
		})
	}
}

func TestDocumentPositions(t *testing.T) {
	text := `name: a
map:
  one: &one
    key: k
  two: *one
  three: {<<: *one, other: 1}
list: [a, b]
`
	var into sample
	d, problems := Decode("f.yaml", []byte(text), &into)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	cases := []struct {
		path             string
		line, column     int
		keyLine, keyCol  int
		has              bool
		readable, nearby string
	}{
		{"", 1, 1, 1, 1, true, "", ""},
		{"name", 1, 7, 1, 1, true, "name", ""},
		{"map one key", 4, 10, 4, 5, true, "map.one.key", ""},
		{"map two key", 4, 10, 4, 5, true, "map.two.key", ""},
		{"map three key", 4, 10, 4, 5, true, "map.three.key", ""},
		{"map three other", 6, 28, 6, 21, true, "map.three.other", ""},
		{"list 1", 7, 11, 7, 11, true, "list[1]", ""},
		{"list 2", 7, 7, 7, 1, false, "list[2]", ""},
		{"list x", 7, 7, 7, 1, false, "list[x]", ""},
		{"map gone deep", 3, 3, 2, 1, false, "map.gone.deep", ""},
		{"name x", 1, 7, 1, 1, false, "name.x", ""},
	}
	for _, c := range cases {
		path := strings.Fields(c.path)
		line, column := d.At(path...)
		keyLine, keyColumn := d.KeyAt(path...)
		got := fmt.Sprint(line, column, keyLine, keyColumn, d.Has(path...), d.Path(path...))
		want := fmt.Sprint(c.line, c.column, c.keyLine, c.keyCol, c.has, c.readable)
		if got != want {
			t.Errorf("%s: got %s, want %s", c.path, got, want)
		}
	}
	p := d.Problem([]string{"list", "1"}, "c", "%s is wrong", "b")
	if got := p.String(); got != `f.yaml:7:11: b is wrong: did you mean "c"?` || p.Path != "list[1]" {
		t.Errorf("got %s at %s", got, p.Path)
	}
	if got := d.KeyProblem([]string{"name"}, "", "bad").String(); got != "f.yaml:1:1: bad" {
		t.Errorf("got %s", got)
	}
	empty := &Document{File: "none"}
	if line, column := empty.At("a"); line != 1 || column != 1 || empty.Has() || empty.Path("a", "0") != "a.0" {
		t.Error("a document without content")
	}
}

func TestProblemsAsError(t *testing.T) {
	if err := (Problems{}).Err(); err != nil {
		t.Errorf("no problems are %v", err)
	}
	problems := Problems{
		{File: "b", Line: 1, Column: 1, Message: "third"},
		{File: "a", Line: 2, Column: 1, Message: "second"},
		{File: "a", Line: 1, Column: 9, Message: "first"},
	}
	err := problems.Err()
	if fault.KindOf(err) != fault.Invalid || fault.ReasonOf(err) != "CONFIG_INVALID" || fault.ExitCode(err) != 2 {
		t.Errorf("classified as %v, %s", fault.KindOf(err), fault.ReasonOf(err))
	}
	if want := "a:1:9: first\na:2:1: second\nb:1:1: third"; err.Error() != want {
		t.Errorf("got %s", err)
	}
	var list Problems
	if !errors.As(err, &list) || len(list) != 3 || problems[0].Message != "third" {
		t.Error("the list is not in the error, or the receiver was sorted")
	}
}

func TestDecodeWantsAPointer(t *testing.T) {
	for _, into := range []any{sample{}, (*sample)(nil)} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%T: no panic", into)
				}
			}()
			Decode("f", []byte("name: a"), into)
		}()
	}
}

func TestUnknownGoTypeIsAProgrammersError(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic for a channel")
		}
	}()
	var into struct {
		C chan int `yaml:"c"`
	}
	Decode("f", []byte("c: 1"), &into)
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte("name: a\nmap: {a: &a {key: k}, b: *a, c: {<<: *a}}"))
	f.Add([]byte("a: &a [*a]"))
	f.Add([]byte("? [1]\n: 2\n--- \n!x y"))
	f.Add([]byte("wait: 1m\nmemory: 1.5GiB\nshape: {words: [a]}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var typed sample
		d, problems := Decode("f", data, &typed)
		for _, p := range problems {
			if p.Line < 1 || p.Column < 1 || p.Message == "" {
				t.Errorf("a problem without place or text: %+v", p)
			}
		}
		d.At("map", "a", "key")
		var loose any
		Decode("f", data, &loose)
	})
}
