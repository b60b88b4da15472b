/** What every journal promises of incidents, probes and jobs: compare-and-set, fires claimed once, lists, streams, and commits that are whole or not there. */
import { expect, it } from "vitest";
import type { SubjectCommit } from "../../src/engine/watch-ports.ts";
import {
  ACCEPTED,
  answerDraft,
  eachJournal,
  HELD,
  incidentStory,
  intakeOf,
  JOB_RESUMED,
  jobStory,
  MUTED,
  PAUSED,
  pageDraft,
  probeStory,
  SUBJECT_WALL,
  story,
  TRIGGERED,
  UNMUTED,
} from "../support/journal-contract.ts";

const FIRE = SUBJECT_WALL + 3_600_000;

eachJournal("subjects", ({ journal, reopen }) => {
  it("gives back what was committed of each kind, after a restart too", async () => {
    const incident = incidentStory("probe:bots/api");
    const probe = probeStory("bots/api");
    const job = jobStory("bots/api");
    expect(await journal().commitSubject(incident.next([TRIGGERED, ACCEPTED]))).toBe("ok");
    expect(await journal().commitSubject(probe.next([MUTED]))).toBe("ok");
    expect(await journal().commitSubject(job.next([PAUSED]))).toBe("ok");
    expect(await journal().commitSubject(probe.next([UNMUTED]))).toBe("ok");
    await reopen();
    expect(await journal().subject("incident", "probe:bots/api")).toEqual(incident.state());
    expect(await journal().subject("probe", "bots/api")).toEqual(probe.state());
    expect(await journal().subject("job", "bots/api")).toEqual(job.state());
    expect(await journal().subjectEvents("incident", "probe:bots/api")).toEqual(incident.events());
    expect(await journal().subjectEvents("job", "bots/api")).toEqual(job.events());
    // The order of the fields too: events are compared as text.
    expect(JSON.stringify(await journal().subjectEvents("probe", "bots/api"))).toBe(
      JSON.stringify(probe.events()),
    );
    expect(await journal().subject("job", "probe:bots/api")).toBeUndefined();
    expect(await journal().subjectEvents("incident", "bots/api")).toEqual([]);
    expect(await journal().events("bots/api")).toEqual([]);
  });

  it("keeps a state that nothing has happened to yet, and what happens to it then", async () => {
    const job = jobStory("bots/daily");
    expect(await journal().commitSubject(job.next([]))).toBe("ok");
    expect(await journal().openSubjects("job")).toEqual([job.state()]);
    expect(await journal().commitSubject(job.next([PAUSED]))).toBe("ok");
    expect((await journal().subject("job", "bots/daily"))?.revision).toBe(1);
  });

  it("keeps the number under which an event was told before", async () => {
    const job = jobStory("bots/daily");
    const commit = job.next([PAUSED]);
    const [event] = commit.events;
    if (event === undefined) throw new Error("an event was to be there");
    await journal().commitSubject({ ...commit, events: [{ ...event, was: 7 }] });
    expect((await journal().subjectEvents("job", "bots/daily"))[0]?.was).toBe(7);
  });

  it("refuses a decision that was made on another revision, and changes nothing with it", async () => {
    const job = jobStory("bots/daily");
    const rival = jobStory("bots/daily");
    await journal().accept(intakeOf("k1", 1));
    await journal().commitSubject(job.next([PAUSED]));
    const more = { fires: [FIRE], outbox: [pageDraft()], intakes: ["k1"], open: false };
    expect(await journal().commitSubject(rival.next([PAUSED, JOB_RESUMED], more))).toBe("conflict");
    await journal().commitSubject(job.next([JOB_RESUMED]));
    const late = jobStory("bots/daily");
    late.next([PAUSED]);
    expect(await journal().commitSubject(late.next([PAUSED], more))).toBe("conflict");
    const unknown = jobStory("bots/other");
    unknown.next([PAUSED]);
    expect(await journal().commitSubject(unknown.next([PAUSED], more))).toBe("conflict");
    await reopen();
    expect(await journal().openSubjects("job")).toEqual([job.state()]);
    expect(await journal().subjectEvents("job", "bots/daily")).toEqual(job.events());
    expect(await journal().subject("job", "bots/other")).toBeUndefined();
    expect(await journal().pending()).toEqual([]);
    expect((await journal().unanswered()).length).toBe(1);
    expect(await journal().commitSubject(job.next([PAUSED], { fires: [FIRE] }))).toBe("ok");
  });

  it("refuses a commit whose events leave a gap, or do not lead to its state", async () => {
    const job = jobStory("bots/daily");
    await journal().commitSubject(job.next([PAUSED]));
    const good = job.next([JOB_RESUMED, PAUSED]);
    const send = (more: Partial<SubjectCommit<"job">>): Promise<unknown> =>
      journal().commitSubject({ ...good, ...more });
    await expect(send({ events: good.events.slice(1) })).rejects.toThrow("number 3, expected 2");
    await expect(send({ events: good.events.slice(0, 1) })).rejects.toThrow("revision 3, expected 2");
    await expect(send({ id: "bots/other" })).rejects.toThrow("the state of bots/daily");
    expect(await journal().subject("job", "bots/daily")).toMatchObject({ revision: 1 });
    expect(await journal().commitSubject(good)).toBe("ok");
  });
});

eachJournal("fires", ({ journal, reopen }) => {
  it("belong to the first commit that claims them, for good; one refused for them changes nothing", async () => {
    const job = jobStory("bots/daily");
    await journal().accept(intakeOf("k1", 1));
    await journal().commitSubject(job.next([PAUSED], { fires: [FIRE, FIRE + 1] }));
    const after = job.state();
    const again = job.next([JOB_RESUMED], {
      fires: [FIRE + 2, FIRE],
      outbox: [pageDraft()],
      intakes: ["k1"],
      open: false,
    });
    expect(await journal().commitSubject(again)).toBe("claimed");
    await reopen();
    expect(await journal().commitSubject(again)).toBe("claimed");
    expect(await journal().openSubjects("job")).toEqual([after]);
    expect((await journal().subjectEvents("job", "bots/daily")).length).toBe(1);
    expect(await journal().pending()).toEqual([]);
    expect((await journal().unanswered()).length).toBe(1);
    expect(await journal().commitSubject({ ...again, fires: [FIRE + 2] })).toBe("ok");
    expect((await journal().pending()).map(({ key }) => key)).toEqual(["page:probe:bots/api"]);
    expect(await journal().unanswered()).toEqual([]);
  });

  it("are of one job each: another job has the same instant to itself", async () => {
    for (const id of ["bots/daily", "bots/nightly", "bots"])
      expect(await journal().commitSubject(jobStory(id).next([PAUSED], { fires: [FIRE] }))).toBe("ok");
  });

  it("are not claimed twice by one commit", async () => {
    const job = jobStory("bots/daily");
    const commit = job.next([PAUSED], { fires: [FIRE, FIRE] });
    expect(await journal().commitSubject(commit)).toBe("claimed");
    expect(await journal().commitSubject({ ...commit, fires: [FIRE] })).toBe("ok");
  });

  it("go to exactly one of the commits that race for them", async () => {
    const racers = Array.from({ length: 20 }, () => jobStory("bots/daily").next([PAUSED], { fires: [FIRE] }));
    const results = await Promise.all(racers.map((racer) => journal().commitSubject(racer)));
    expect(results.filter((result) => result === "ok").length).toBe(1);
    expect(results.filter((result) => result === "conflict").length).toBe(19);
    const next = (instant: number): SubjectCommit<"job"> => {
      const job = jobStory("bots/daily");
      job.next([PAUSED]);
      return job.next([JOB_RESUMED], { fires: [instant] });
    };
    const late = [next(FIRE), next(FIRE), next(FIRE + 1), next(FIRE + 1)];
    expect(await Promise.all(late.map((one) => journal().commitSubject(one)))).toEqual([
      "claimed",
      "claimed",
      "ok",
      "conflict",
    ]);
  });

  it("are no matter of other subjects", async () => {
    const probe = probeStory("bots/daily").next([MUTED], { fires: [FIRE] });
    await expect(journal().commitSubject(probe)).rejects.toThrow("only jobs have those");
    expect(await journal().subject("probe", "bots/daily")).toBeUndefined();
    expect(await journal().commitSubject(jobStory("bots/daily").next([PAUSED], { fires: [FIRE] }))).toBe(
      "ok",
    );
  });
});

eachJournal("lists of subjects", ({ journal, reopen }) => {
  it("lists open ones of a kind, oldest first, and those opened again in their old place", async () => {
    const [z, a, m] = [incidentStory("i-Z"), incidentStory("i-A"), incidentStory("i-M")];
    for (const incident of [z, a, m]) await journal().commitSubject(incident.next([TRIGGERED]));
    await journal().commitSubject(probeStory("bots/api").next([MUTED]));
    const open = async (): Promise<readonly string[]> =>
      (await journal().openSubjects("incident")).map(({ id }) => id);
    expect(await open()).toEqual(["i-Z", "i-A", "i-M"]);
    await journal().commitSubject(a.next([ACCEPTED], { open: false }));
    await reopen();
    expect(await open()).toEqual(["i-Z", "i-M"]);
    expect(await journal().subject("incident", "i-A")).toEqual(a.state());
    await journal().commitSubject(a.next([ACCEPTED]));
    expect(await open()).toEqual(["i-Z", "i-A", "i-M"]);
  });

  it("tells the events of a kind since an instant, oldest first, and no more than asked for", async () => {
    const [api, web] = [probeStory("bots/api:8080"), probeStory("bots/web")];
    await journal().commitSubject(web.next([MUTED, UNMUTED]));
    await journal().commitSubject(api.next([MUTED, UNMUTED, MUTED]));
    await journal().commitSubject(jobStory("bots/web").next([PAUSED]));
    await journal().commit(story("r-1").begin());
    const since = async (wall: number, most: number): Promise<readonly string[]> =>
      (await journal().subjectEventsSince("probe", wall, most)).map(
        ({ id, recorded }) => `${id} ${recorded.seq}`,
      );
    await reopen();
    const all = ["bots/web 1", "bots/api:8080 1", "bots/web 2", "bots/api:8080 2", "bots/api:8080 3"];
    expect(await since(0, 100)).toEqual(all);
    expect(await since(SUBJECT_WALL + 200, 100)).toEqual(all.slice(2));
    expect(await since(SUBJECT_WALL + 200, 2)).toEqual(all.slice(2, 4));
    expect(await since(SUBJECT_WALL + 301, 100)).toEqual([]);
    const [first] = await journal().subjectEventsSince("job", 0, 1);
    expect(first).toEqual({ id: "bots/web", recorded: expect.objectContaining({ seq: 1, event: PAUSED }) });
    expect(await journal().subjectEventsSince("incident", 0, 100)).toEqual([]);
  });
});

eachJournal("what a subject's commit owes", ({ journal, reopen }) => {
  it("is queued with it: pages and changes in the lane of on-call, and answers with their command", async () => {
    const change = {
      key: "change:r-1:i1",
      summary: "parallel is on",
      source: "ingestion/production",
      details: { run: "r-1" },
      wall: SUBJECT_WALL,
    };
    const drafts = [
      pageDraft(),
      { ...pageDraft(change.key), body: { kind: "change" as const, change } },
      answerDraft("k1.answer", "acknowledged"),
    ];
    for (const key of ["k1", "k2"]) await journal().accept(intakeOf(key, 1));
    await journal().commitSubject(
      incidentStory("i-1").next([TRIGGERED], { outbox: drafts, intakes: ["k1"] }),
    );
    await reopen();
    const items = await journal().pending();
    expect(items.map(({ key, lane, body }) => ({ key, lane, body }))).toEqual(
      drafts.map(({ key, lane, body }) => ({ key, lane, body })),
    );
    expect((await journal().unanswered()).map(({ key }) => key)).toEqual(["k2"]);
  });

  it("becomes a new generation of the same message under a known key", async () => {
    const probe = probeStory("bots/api");
    await journal().commitSubject(probe.next([MUTED], { outbox: [pageDraft()] }));
    await journal().commitSubject(probe.next([UNMUTED], { outbox: [pageDraft()] }));
    expect((await journal().pending()).map(({ generation }) => generation)).toEqual([2]);
  });
});

eachJournal("rollouts and subjects", ({ journal, reopen }) => {
  it("go along one chain, whatever their order", async () => {
    const run = story("r-1");
    const job = jobStory("bots/daily");
    await journal().commit(run.begin());
    await journal().commitSubject(job.next([PAUSED, JOB_RESUMED]));
    await journal().commit(run.next([HELD]));
    await journal().commitSubject(incidentStory("i-1").next([TRIGGERED]));
    await reopen();
    await journal().commitSubject(job.next([PAUSED]));
    expect(await journal().events("r-1")).toEqual(run.events());
    expect(await journal().subjectEvents("job", "bots/daily")).toEqual(job.events());
    // The journal is checked after each test, its chain with it.
  });

  it("names incidents shortly and never twice", async () => {
    const names = new Set<string>();
    for (let count = 0; count < 100; count++) names.add(await journal().newIncidentId());
    await reopen();
    for (let count = 0; count < 100; count++) names.add(await journal().newIncidentId());
    expect(names.size).toBe(200);
    for (const name of names) expect(name).toMatch(/^i-[0-9A-Z]{3,6}$/);
    expect(await journal().newRunId()).toMatch(/^r-/);
  });
});
