/** The text of environment files: a table of systemd's rules, and properties of reading and changing. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  isVariable,
  parseEnv,
  printValue,
  variablesOf,
  withVariables,
} from "../../src/adapters/flags/env-text.ts";

function variables(text: string): Readonly<Record<string, string>> {
  return Object.fromEntries(variablesOf(Buffer.from(text)));
}

function changed(text: string, changes: Readonly<Record<string, string>>): string {
  return withVariables(Buffer.from(text), new Map(Object.entries(changes))).toString();
}

describe("reading an environment file", () => {
  it.each([
    ["a bare value", "A=1\nB=two words  \n", { A: "1", B: "two words" }],
    ["no end of line", "A=1", { A: "1" }],
    ["comments and blank lines", "# A=0\n; A=0\n\n   \nA=1\n#", { A: "1" }],
    ["blanks around", "  A = \t1 \nB\t=2", { A: "1", B: "2" }],
    ["an empty value", "A=\nB=''\nC=\"\"", { A: "", B: "", C: "" }],
    ["the last assignment", "A=1\nA=2", { A: "2" }],
    ["single quotes", "A='x \"$y\" \\n # z'\n", { A: 'x "$y" \\n # z' }],
    ["double quotes", 'A="x \\"q\\" \\$y \\\\ \\` \\n \'z\'"', { A: "x \"q\" $y \\ ` \\n 'z'" }],
    ["pieces", "A='a'\"b\" c", { A: "abc" }],
    ["quotes inside a bare value", "A=a\"b\"'c'", { A: "a\"b\"'c'" }],
    ["a comment sign inside a value", "A=a#b # c", { A: "a#b # c" }],
    ["escapes", "A=a\\ b\\\\c\\q\nB=\\'x", { A: "a b\\cq", B: "'x" }],
    ["an escaped blank at the end", "A=a\\  \n", { A: "a " }],
    ["lines that go on", "A=a\\\nb\nB=\"c\\\nd\"\nC='e\nf'", { A: "ab", B: "cd", C: "e\nf" }],
    ["an open quote", "A='a\nB=1\n", { A: "a\nB=1\n" }],
    ["carriage returns", "A=1\r\nB=2\r\n", { A: "1", B: "2" }],
    ["an equals sign inside", "A=b=c", { A: "b=c" }],
    ["lines that mean nothing", "export A=1\nB\n1C=2\nD-E=3\n=4\nF.G=5", {}],
    ["a comment that goes on", "# a\\\nA=1\nB=2", { B: "2" }],
    ["letters beyond ASCII", "A=Köln €\nB='ü'", { A: "Köln €", B: "ü" }],
  ])("knows %s", (_name, text, expected) => {
    expect(variables(text)).toEqual(expected);
  });
});

describe("changing an environment file", () => {
  it.each([
    ["in place", "# x\nA=1 # no comment\n\nB=2\n", { A: "3" }, "# x\nA=3\n\nB=2\n"],
    ["with its indent and line end", "\tA=1\r\nB=2\r\n", { A: "3", C: "4" }, "\tA=3\r\nB=2\r\nC=4\r\n"],
    ["every assignment of a key", "A=1\nB=1\nA=2\n", { A: "3" }, "A=3\nB=1\nA=3\n"],
    ["at the end", "A=1", { B: "2" }, "A=1\nB=2\n"],
    ["from nothing", "", { A: "1", B: "" }, "A=1\nB=\n"],
    ["not when it says so already", "A='1'\n", { A: "1" }, "A='1'\n"],
    ["a value over several lines", "A='a\nb'\nB=1\n", { A: "c" }, "A=c\nB=1\n"],
    ["a value in need of quotes", "A=1\n", { A: 'a "b" $c\\d`e' }, 'A="a \\"b\\" \\$c\\\\d\\`e"\n'],
    ["before an open quote", "B='open\n", { A: "1" }, "A=1\nB='open\n"],
    ["after a comment that may or may not go on", "# a\\\nA=1\n", { A: "2" }, "# a\\\nA=1\nA=2\n"],
    ["after a comment without an end", "# a\\", { A: "2" }, "A=2\n# a\\"],
  ])("%s", (_name, text, changes, expected) => {
    expect(changed(text, changes)).toBe(expected);
    expect(variables(expected)).toMatchObject(changes);
  });

  it("keeps bytes that are no UTF-8", () => {
    const bytes = Buffer.concat([
      Buffer.from("# caf"),
      Buffer.from([0xe9, 0xff, 0x0a]),
      Buffer.from("A=1\n"),
    ]);
    expect(withVariables(bytes, new Map([["A", "ü"]]))).toEqual(
      Buffer.concat([Buffer.from("# caf"), Buffer.from([0xe9, 0xff, 0x0a]), Buffer.from('A="ü"\n')]),
    );
  });

  it("knows what can be a variable", () => {
    expect([isVariable("A_1", "x"), isVariable("_", ""), isVariable("A", "two\nlines")]).toEqual([
      true,
      true,
      true,
    ]);
    expect([
      isVariable("1A", ""),
      isVariable("A.B", ""),
      isVariable("A-B", ""),
      isVariable("", ""),
      isVariable("A", "\0"),
      isVariable("A", "\ud800"),
    ]).toEqual(Array.from({ length: 6 }, () => false));
  });
});

describe("properties", () => {
  const key = fc.constantFrom("A", "B", "FEATURE_X", "_y");
  const value = fc
    .oneof(
      fc.string(),
      fc.string({
        unit: fc.constantFrom("a", " ", "\t", "'", '"', "\\", "$", "`", "#", "=", "\n", "\r", "é"),
      }),
    )
    .filter((text) => isVariable("A", text));
  /** Lines as people and tools write them, and bytes that nobody would. */
  const line = fc.oneof(
    fc.tuple(key, value).map(([name, text]) => `${name}=${printValue(text)}\n`),
    fc
      .tuple(key, fc.constantFrom("1", " 2 ", "'q'", '"q"', "a\\", "'open", '"open', "\\"))
      .map(([name, text]) => `${name}=${text}\n`),
    fc.constantFrom(
      "# comment\n",
      "; comment\\\n",
      "\n",
      "\r\n",
      "   \n",
      "export A=1\n",
      "nonsense\n",
      "=\n",
      "A",
      "\\",
    ),
    fc.string({ unit: fc.constantFrom("A", "=", "'", '"', "\\", "\n", "\r", " ", "#", "\xff") }),
  );
  const text = fc.array(line, { maxLength: 12 }).map((lines) => lines.join(""));
  const changes = fc.dictionary(key, value, { minKeys: 1 });

  it("splits any bytes into stretches that are the bytes", () => {
    fc.assert(
      fc.property(fc.oneof(text, fc.string()), (any) => {
        const bytes = Buffer.from(any).toString("latin1");
        expect(
          parseEnv(bytes)
            .map((stretch) => stretch.text)
            .join(""),
        ).toBe(bytes);
      }),
      { numRuns: 500 },
    );
  });

  it("reads back a value that it printed", () => {
    fc.assert(
      fc.property(value, (any) => {
        const printed = Buffer.from(`A=${printValue(any)}\nB=1\n`, "latin1");
        expect(Object.fromEntries(variablesOf(printed))).toEqual({ A: any, B: "1" });
      }),
      { numRuns: 1000 },
    );
  });

  it("sets what it was asked to set, changes no other variable, and touches no other stretch", () => {
    fc.assert(
      fc.property(text, changes, (before, wanted) => {
        const bytes = Buffer.from(before);
        const after = withVariables(bytes, new Map(Object.entries(wanted)));
        expect(Object.fromEntries(variablesOf(after))).toEqual({
          ...Object.fromEntries(variablesOf(bytes)),
          ...wanted,
        });
        const others = (whole: Buffer) =>
          parseEnv(whole.toString("latin1")).filter(
            (stretch) => stretch.kind === "other" || !Object.hasOwn(wanted, stretch.key),
          );
        const kept = others(after).map((stretch) => stretch.text);
        const expected = others(bytes).map((stretch) => stretch.text);
        // A last line without an end gets one before something is added.
        const trimmed = (list: readonly string[]) => list.join("").replace(/[\r\n]+$/, "");
        expect(trimmed(kept)).toBe(trimmed(expected));
        expect(withVariables(after, new Map(Object.entries(wanted)))).toEqual(after);
      }),
      { numRuns: 2000 },
    );
  });
});
