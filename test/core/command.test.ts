/** The command grammar: what people type, what chat clients make of it, and what is refused rather than guessed. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { nearest, normalise, type Parsed, parseCommand } from "../../src/core/command.ts";
import type { Refusal } from "../../src/core/refusal.ts";
import { type SlashNoun, VERBS } from "../../src/core/verbs.ts";

/** A command in one line: `verb word,word key=value | reason`, or the refusal's code. */
function shown(text: string, noun?: SlashNoun): string {
  const parsed = parseCommand(text, noun);
  if ("kind" in parsed) return parsed.code;
  const options = [...parsed.options].map(([key, value]) => ` ${key}=${value}`).join("");
  const because = parsed.because === undefined ? "" : ` | ${parsed.because}`;
  const words = parsed.words.length === 0 ? "" : ` ${parsed.words.join(",")}`;
  return `${parsed.spec.noun} ${parsed.spec.verb}${words}${options}${because}`;
}

function refused(text: string, noun?: SlashNoun): Refusal {
  const parsed = parseCommand(text, noun);
  if (!("kind" in parsed)) throw new Error(`\`${text}\` was taken for ${parsed.spec.verb}`);
  return parsed;
}

function taken(text: string): Parsed {
  const parsed = parseCommand(text);
  if ("kind" in parsed) throw new Error(parsed.message);
  return parsed;
}

/** The shortest of three times (ms): what the work itself takes on a machine that does other things too. */
function bestMs(work: () => unknown): number {
  const times = [1, 2, 3].map(() => {
    const from = performance.now();
    work();
    return performance.now() - from;
  });
  return Math.min(...times);
}

describe("the noun", () => {
  it.each<[string, SlashNoun | undefined, string]>([
    ["enable parallel", "rollout", "rollout enable parallel"],
    ["enable parallel", undefined, "rollout enable parallel"],
    ["rollout enable parallel", undefined, "rollout enable parallel"],
    ["rollout enable parallel", "belay", "rollout enable parallel"],
    ["belay rollout enable parallel", undefined, "rollout enable parallel"],
    ["BELAY Rollout ENABLE parallel", undefined, "rollout enable parallel"],
    ["enable parallel", "belay", "rollout enable parallel"],
    ["", "rollout", "belay help"],
    ["   ", undefined, "belay help"],
    ["rollout", undefined, "belay help"],
    ["belay", undefined, "belay help"],
    ["belay rollout", undefined, "belay help"],
    ["help", "rollout", "belay help"],
    ["help rollback", "belay", "belay help rollback"],
    ["whoami", "rollout", "belay whoami"],
    ["whoami", undefined, "belay whoami"],
    ["list", "rollout", "rollout list"],
    ["list", "belay", "belay list"],
    ["belay list", undefined, "belay list"],
    // What the slash command said is not said again.
    ["rollout status", "rollout", "unknown_verb"],
  ])("%j after %s is %s", (text, noun, expected) => {
    expect(shown(text, noun)).toBe(expected);
  });
});

describe("words and options", () => {
  it.each<[string, string]>([
    ["status", "rollout status"],
    ["status ingestion", "rollout status ingestion"],
    ["  status \t ingestion \n", "rollout status ingestion"],
    ["status run=r-7", "rollout status run=r-7"],
    ["status --run=r-7", "rollout status run=r-7"],
    ["status RUN=r-7", "rollout status run=r-7"],
    ["enable parallel env=production run=r-7", "rollout enable parallel env=production run=r-7"],
    ["enable env=production parallel", "rollout enable parallel env=production"],
    ["enable ingestion/parallel", "rollout enable ingestion/parallel"],
    ["enable FEATURE_PARALLEL", "rollout enable FEATURE_PARALLEL"],
    ['enable "parallel"', "rollout enable parallel"],
    ["enable 'parallel'", "rollout enable parallel"],
    ['start ingestion at="14:00"', "rollout start ingestion at=14:00"],
    ["start ingestion at=14:00", "rollout start ingestion at=14:00"],
    ["stop --leave-on", "rollout stop leave-on=true"],
    ["stop ingestion --leave-on because done", "rollout stop ingestion leave-on=true | done"],
    ["rollback", "rollout rollback"],
    ["rollback all", "rollout rollback all"],
    ["rollback to batching", "rollout rollback to,batching"],
    ["rollback ingestion to batching", "rollout rollback ingestion,to,batching"],
    ["rollback all rollout=ingestion", "rollout rollback all rollout=ingestion"],
    ["extend 30m", "rollout extend 30m"],
    ["extend 30m ingestion", "rollout extend 30m,ingestion"],
    ["signoff no-go", "rollout signoff no-go"],
    ["status run=r-7 run=r-8", "rollout status run=r-8"],
  ])("%j is %s", (text, expected) => {
    expect(shown(text)).toBe(expected);
  });

  it.each<[string, string, RegExp]>([
    ["list all", "bad_value", /`all` is one word too many\. Usage: `\/rollout list`/],
    ["hold the line now", "bad_value", /`line` is one word too many/],
    ["rollback a b c d", "bad_value", /`d` is one word too many/],
    ["whoami please", "bad_value", /Usage: `\/belay whoami`/],
    ["enable parallel force=yes", "unknown_option", /does not know the option `force`; it takes env, run\./],
    ["enable parallel --out-of-order", "unknown_option", /`out-of-order`/],
    ["plan ingestion run=r-1", "unknown_option", /it takes no options/],
    ["rollback --force", "unknown_option", /it takes run, rollout/],
    ["stop env=production", "unknown_option", /it takes run, leave-on/],
    ['enable "parallel', "bad_value", /quote/],
    ["enable 'parallel", "bad_value", /quote/],
    ["hold it's", "bad_value", /quote/],
    ["status --run", "bad_value", /`run` needs a value, such as run=\.\.\./],
    ["status run=", "bad_value", /`run` needs a value/],
    ["rollback --run r-7", "bad_value", /`run` needs a value/],
    ['start ingestion at=""', "bad_value", /`at` needs a value/],
    ["stop --leave-on=false", "bad_value", /`--leave-on` takes no value/],
    ["stop leave-on=no", "bad_value", /`--leave-on` takes no value/],
  ])("%j is refused as %s", (text, code, words) => {
    const refusal = refused(text);
    expect(refusal.code).toBe(code);
    expect(refusal.message).toMatch(words);
  });

  it.each(["__proto__", "constructor", "toString", "hasOwnProperty", "prototype"])(
    "%s is no verb, no option, and as a name only a name",
    (name) => {
      expect(refused(name).code).toBe("unknown_verb");
      expect(refused(`hold ${name}`.concat(" ", name)).code).toBe("bad_value");
      expect(shown(`enable ${name}=x`)).toBe(
        name.startsWith("_") ? `rollout enable ${name}=x` : "unknown_option",
      );
      expect(taken(`enable ${name}`).words).toEqual([name]);
    },
  );
});

describe("the reason", () => {
  it.each<[string, string]>([
    ['hold because "pool is full"', "rollout hold | pool is full"],
    ["hold because 'pool is full'", "rollout hold | pool is full"],
    ["hold because pool is full", "rollout hold | pool is full"],
    ["hold ingestion because it's slow", "rollout hold ingestion | it's slow"],
    ['hold because "it\'s slow"', "rollout hold | it's slow"],
    ["hold BECAUSE slow", "rollout hold | slow"],
    ["hold because: slow", "rollout hold | slow"],
    ["hold because the one because of the other", "rollout hold | the one because of the other"],
    ['hold because "a" and "b"', 'rollout hold | a" and "b'],
    ["hold because --force failed", "rollout hold | --force failed"],
    ["hold because size=20 is too small", "rollout hold | size=20 is too small"],
    ['rollback all because "slow" run=r-7', "rollout rollback all run=r-7 | slow"],
    ["rollback all because 'it is slow' run=r-7", "rollout rollback all run=r-7 | it is slow"],
    ["rollback all because 'it's slow' --run=r-7", "rollout rollback all run=r-7 | it's slow"],
    ['stop because "done" run=r-7 --leave-on', "rollout stop run=r-7 leave-on=true | done"],
    ['hold because "we" run', 'rollout hold | "we" run'],
    ['hold because "pool" size=20', 'rollout hold | "pool" size=20'],
    ["rollback because", "rollout rollback"],
    ["rollback because   ", "rollout rollback"],
    ['rollback because ""', "rollout rollback"],
    ["hold because:", "rollout hold"],
    ["hold because two\nlines", "rollout hold | two\nlines"],
    ["status because", "rollout status"],
  ])("%j is %s", (text, expected) => {
    expect(shown(text)).toBe(expected);
  });

  it("is kept to 500 characters", () => {
    expect(taken(`hold because ${"x".repeat(900)}`).because).toHaveLength(500);
  });

  it("a word that only begins with because is a word", () => {
    expect(shown("hold becausewise")).toBe("rollout hold becausewise");
  });
});

describe("what chat clients make of typed text", () => {
  it.each<[string, string]>([
    ["rollback all because \u201Cpool full\u201D", 'rollback all because "pool full"'],
    ["because \u201Epool full\u201C", 'because "pool full"'],
    ["because \u00ABpool\u00BB", 'because "pool"'],
    ["because \u2018it\u2019s slow\u2019", "because 'it's slow'"],
    ["stop \u2014leave-on", "stop --leave-on"],
    ["stop \u2013leave\u2011on", "stop --leave-on"],
    ["signoff no\u2013go", "signoff no-go"],
    ["\u2212", "-"],
    ["p95 &lt; 250 ms &amp; p50 &gt; 1", "p95 < 250 ms & p50 > 1"],
    ["&amp;lt;", "&lt;"],
    ["&lt;@U123|ana&gt;", "<@U123|ana>"],
    ["ask <@U123ABC|ana> in <#C042|ops>", "ask ana in ops"],
    ["ask <@U123ABC>", "ask <@U123ABC>"],
    ["<!subteam^S1|@leads>", "@leads"],
    ["see <https://wiki.example/x?a=1|the page>", "see the page"],
    ["see <https://wiki.example/x>", "see https://wiki.example/x"],
    ["enable\u00A0parallel\u3000now\u202Fplease", "enable parallel now please"],
    ["\uFEFFroll\u200Bback\u2060 all\u200E", "rollback all"],
    ["\u202Erollback\u202C \u2066all\u2069", "rollback all"],
  ])("%j is read as %j", (text, expected) => {
    expect(normalise(text)).toBe(expected);
  });

  it.each([
    "rollback to batching run=r-7 because \u201Cpool is full\u201D",
    "rollback to batching --run=r-7 because \u2018pool is full\u2019",
    "rollback to batching \u2014run=r-7 because pool is full",
    "Rollback  to\u00A0batching run=r-7 because 'pool is full'",
    "rollout rollback to batching run=r-7 because \u00ABpool is full\u00BB",
    "belay rollout rollback to batching run=r-7 because pool is full",
    "\u200Brollback to \u201Cbatching\u201D run=\u201Cr-7\u201D because \u201Epool is full\u201C",
    "rollback to batching because \u201Cpool is full\u201D run=r-7",
  ])("%j is one and the same command", (text) => {
    expect(shown(text)).toBe("rollout rollback to,batching run=r-7 | pool is full");
  });

  it("letters that only look like others are never taken for them", () => {
    // Cyrillic o and a.
    const refusal = refused("r\u043Ellback \u0430ll");
    expect(refusal.code).toBe("unknown_verb");
    expect(refusal.offers[0]).toMatchObject({ command: "rollout rollback \u0430ll" });
    expect(taken("enable p\u0430rallel").words).toEqual(["p\u0430rallel"]);
  });
});

describe("a word that is no command", () => {
  it.each<[string, string]>([
    ["rolback", "rollout rollback"],
    ["rollbakc all", "rollout rollback all"],
    ["ROLBACK all", "rollout rollback all"],
    ["roll", "rollout rollback"],
    ["enabel parallel", "rollout enable parallel"],
    ["statsu", "rollout status"],
    ["resum", "rollout resume"],
    ["hodl", "rollout hold"],
    ["unlok parallel because \u201Cpool fixed\u201D", "rollout unlock parallel because pool fixed"],
    ["rolback all run=r-7 because slow", "rollout rollback all run=r-7 because slow"],
  ])("%j asks whether %j was meant, and changes nothing", (text, command) => {
    const refusal = refused(text);
    expect(refusal.code).toBe("unknown_verb");
    expect(refusal.message).toMatch(/did you mean/);
    expect(refusal.offers).toEqual([expect.objectContaining({ command, confirm: `Run "${command}"?` })]);
    expect(parseCommand(command)).not.toHaveProperty("kind");
  });

  it.each(["abort", "pause", "bake", "st", "sta", "xyzzy", "", "'' all", "42", "-", "--", "rollout rollout"])(
    "%j is near to none: help is offered",
    (text) => {
      if (text === "") return expect(shown(text)).toBe("belay help");
      const refusal = refused(text);
      expect(refusal.code).toBe("unknown_verb");
      expect(refusal.offers).toEqual([{ label: "Help", command: "belay help" }]);
    },
  );

  it("is shown shortened, however long it is", () => {
    const refusal = refused(`x${"y".repeat(1_500)}`);
    expect(refusal.message.length).toBeLessThan(150);
  });

  it.each<[string, readonly string[], string | undefined]>([
    ["parallel", ["parallel"], "parallel"],
    ["paralel", ["parallel", "parse-cache"], "parallel"],
    ["para", ["parallel", "parse-cache"], "parallel"],
    ["par", ["parallel", "parse-cache"], undefined],
    ["pa", ["parallel"], undefined],
    ["batch", ["batching", "batch-size"], undefined],
    ["abcd", ["abce", "abcf"], undefined],
    ["abcdef", ["abcdxy"], "abcdxy"],
    ["abcdef", ["abcxyz"], undefined],
    ["ab", ["cd"], undefined],
    ["", ["a"], "a"],
    ["x", [], undefined],
    ["a".repeat(41), ["b".repeat(41)], undefined],
  ])("nearest to %j of %j is %s", (text, known, expected) => {
    expect(nearest(text, known)).toBe(expected);
  });
});

describe("any text", () => {
  it("of megabytes is refused at once", () => {
    for (const unit of ["x", " ", '"', "'", "because ", "a=", "<", "&amp;", "\u201C", "\u2014a"]) {
      const text = unit.repeat(Math.ceil(5_000_000 / unit.length));
      expect(refused(text).code).toBe("too_long");
      expect(bestMs(() => parseCommand(text))).toBeLessThan(50);
    }
  });

  it("at the longest is read in time, whatever it repeats", () => {
    const units = [
      '"',
      "'",
      '" run=',
      "because ",
      'because "',
      'because "a" run=b ',
      "--a",
      "<@",
      "<https://",
      "a|",
    ];
    for (const unit of units) {
      const bare = unit.repeat(Math.floor(1_980 / unit.length));
      const reason = `hold because "${bare}`;
      expect(bestMs(() => parseCommand(reason))).toBeLessThan(50);
      expect(bestMs(() => parseCommand(bare))).toBeLessThan(50);
    }
  });

  it("never throws, and what is taken is within its verb's limits", () => {
    const piece = fc.oneof(
      fc.string({ unit: "binary", maxLength: 12 }),
      fc.constantFrom(
        ...VERBS.map((spec) => spec.verb),
        "rollout",
        "belay",
        "because",
        "to",
        "all",
        "run=r-1",
      ),
      fc.constantFrom('"', "'", "\u201C", "=", "--", "\u2014", "<@U1|", "&lt;", "|", ">", "\u0000", "\uD800"),
    );
    const text = fc.array(fc.tuple(piece, fc.constantFrom("", " ")), { maxLength: 12 });
    const noun = fc.constantFrom<SlashNoun | undefined>("rollout", "belay", undefined);
    fc.assert(
      fc.property(text, noun, (pieces, said) => {
        const parsed = parseCommand(pieces.flat().join(""), said);
        if ("kind" in parsed) {
          expect(parsed.message.length).toBeLessThan(400);
          for (const offer of parsed.offers) expect(offer.command.length).toBeLessThanOrEqual(200);
          return;
        }
        expect(VERBS).toContain(parsed.spec);
        expect(parsed.words.length).toBeLessThanOrEqual(parsed.spec.most);
        for (const key of parsed.options.keys()) expect(parsed.spec.options).toContain(key);
        expect(parsed.because?.trim()).not.toBe("");
      }),
      { numRuns: 3_000 },
    );
  }, 20_000);

  it("with a quoted reason comes back whole, wherever its options stand", () => {
    const reason = fc
      .string({ unit: "grapheme-ascii", minLength: 1, maxLength: 60 })
      .map((text) => text.replace(/["<>&]/g, "").trim())
      .filter((text) => text !== "" && !/^'.*'$/.test(text));
    fc.assert(
      fc.property(reason, (text) => {
        const expected = `rollout rollback all run=r-7 | ${text}`;
        expect(shown(`rollback all run=r-7 because "${text}"`)).toBe(expected);
        expect(shown(`rollback all because \u201C${text}\u201D run=r-7`)).toBe(expected);
      }),
      { numRuns: 500 },
    );
  });
});

describe("the table of verbs", () => {
  it("names each verb once per noun, with a usage that begins with it", () => {
    const names = VERBS.map((spec) => `${spec.noun} ${spec.verb}`);
    expect(new Set(names).size).toBe(names.length);
    for (const spec of VERBS) expect(spec.usage.split(" ")[0]).toBe(spec.verb);
  });

  it("holds exactly those that go back or call people, and nothing that only reads is more than that", () => {
    const backward = VERBS.filter((spec) => spec.direction === "backward").map((spec) => spec.verb);
    expect(backward).toEqual(["hold", "rollback", "page", "ack", "escalate", "resolve"]);
    const read = VERBS.filter((spec) => spec.direction === "read").map((spec) => spec.verb);
    const rollouts = [
      "list",
      "status",
      "plan",
      "rehearse",
      "evidence",
      "history",
      "help",
      "list",
      "changes",
      "whoami",
    ];
    expect(read).toEqual([...rollouts, "who", "list", "list", "next", "missed", "now", "history"]);
  });
});
