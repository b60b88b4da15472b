/** The on-call desk: opens an incident for each page, keeps its deadline over restarts, and takes acknowledgements from wherever they come. */
import { type Actor, BELAY } from "../core/event.ts";
import { ACK_WITHIN_MS, dueOf, isClosed, type PagerFacts, throughOf, wordOf } from "../core/oncall/decide.ts";
import { evolveIncident, type Incident, type IncidentEvent, nameOfWho } from "../core/oncall/incident.ts";
import { keyOfPager, type PageRequest, type PagerChange, pagerKeyOf } from "../core/oncall/page.ts";
import { incidentPost } from "../core/report/incident-post.ts";
import { SECOND } from "../core/time.ts";
import { type Bell, createBell } from "./concurrency.ts";
import { postDraft } from "./drafts.ts";
import type { OutboxDraft } from "./messages.ts";
import { IncidentPager } from "./oncall-pager.ts";
import { type Clock, createTurns, type Log, messageOfFault, OutsideFault, type Turns } from "./ports.ts";
import type { OnCallDesk } from "./routed-chat.ts";
import { SubjectKeeper } from "./subject.ts";
import type { Pager, PagerWord, SecondChannel, SubjectJournal } from "./watch-ports.ts";

/** A page that may have been opened before waits this long for a journal that is away; then two pages are better than none. */
const ASK_AGAIN_FOR_MS = 30 * SECOND;
/** Deadlines are looked at this often. */
const TICK_MS = SECOND;
/** Resolved incidents kept in memory, so that messages that tell of them keep their lines. */
const RESOLVED_KEPT = 200;

/** The label of the custom incident action, which may name the stage behind it. */
const ROLL_BACK = /^roll back\b/i;

export interface OnCallDeps {
  readonly clock: Clock;
  readonly journal: SubjectJournal;
  readonly log: Log;
  /** Undefined where no pager service is configured: then Slack and the second channel are all there is. */
  readonly pager: Pager | undefined;
  readonly second: SecondChannel | undefined;
  /** Channel of incidents whose page names none. */
  readonly defaultChannel: string | undefined;
  readonly sendNow: (drafts: readonly OutboxDraft[]) => void;
  /** How long each person has to acknowledge; five minutes when not given. */
  readonly ackWithinMs?: number;
  /** Why the cause of a page is gone, so that its incident ends by itself; undefined while it is not. */
  readonly over: (page: PageRequest) => string | undefined;
  /** Carries out a command for somebody who pressed an action in the pager service; resolves once it is accepted, and rejects when it is not. */
  readonly command: (text: string, actor: Actor, key: string) => Promise<void>;
  /** Why a run that has ended leaves no page open; undefined while it has not. Asked at the start, for what a kill cut short. */
  readonly ended: (run: string) => Promise<string | undefined>;
  /** Names this installation of Belay in the keys that the pager service sees; empty: no name. */
  readonly installation: string;
}

/** One incident with its turns. */
interface Open {
  readonly keeper: SubjectKeeper<"incident">;
  readonly turns: Turns;
  readonly pager: IncidentPager;
  /** A decision that time brings, or what is owed to the journal, is on its way: no second one is queued behind it. */
  isDeciding: boolean;
}

export class OnCall implements OnCallDesk {
  readonly #deps: OnCallDeps;
  /** By page key, oldest first. */
  readonly #incidents = new Map<string, Open>();
  readonly #opening: Turns = createTurns();
  /** Since when (steady ms) the journal cannot tell whether a page was opened before, by page key. */
  readonly #askedSince = new Map<string, number>();
  readonly #bell: Bell;
  #stopped = false;

  constructor(deps: OnCallDeps) {
    this.#deps = deps;
    this.#bell = createBell(deps.clock);
  }

  /** Takes over the open incidents, then watches their deadlines. Rejects when the journal cannot tell which are open. */
  async start(): Promise<void> {
    // A page that was handed over meanwhile has opened its incident already.
    for (const state of await this.#deps.journal.openSubjects("incident"))
      if (!this.#incidents.has(state.id)) this.#adopt(state.id, state);
    for (const { id, page } of this.incidents()) {
      const because = page.run === undefined ? undefined : await this.#endedOf(page.run);
      if (because !== undefined) await this.resolvePage(id, because);
    }
    void this.#watch();
  }

  /** Why a run is over; undefined also when its record cannot be read: its pages stay open for a person then. */
  async #endedOf(run: string): Promise<string | undefined> {
    try {
      return await this.#deps.ended(run);
    } catch (error) {
      this.#deps.log.error("nobody can say whether the run of a page is over", {
        run,
        error: messageOfFault(error),
      });
      return undefined;
    }
  }

  /** Something may have ended the cause of a page. */
  lookNow(): void {
    this.#bell.ring();
  }

  stop(): void {
    this.#stopped = true;
    this.#bell.ring();
  }

  /** Incidents in memory, oldest first; resolved ones among them. */
  incidents(): readonly Incident[] {
    return [...this.#incidents.values()].flatMap(({ keeper }) => keeper.state() ?? []);
  }

  /** Those that nobody has resolved, oldest first. */
  open(): readonly Incident[] {
    return this.incidents().filter(({ phase }) => phase !== "resolved");
  }

  /**
   * Opens an incident, once per key. Resolves when the journal has it; rejects (recoverable) while it counts in memory alone. `again`: it may have
   * been opened by a life before this one, so a journal that is away is asked again for a while before it counts as new.
   */
  async page(page: PageRequest, again = false): Promise<void> {
    const open = await this.#opening(() => this.#open(page, again));
    if (open === undefined) return;
    const kept = open.keeper.isFlushed() ? "kept" : await open.turns(() => open.keeper.commit([]));
    if (kept === "owed")
      throw new OutsideFault("the journal does not have the page yet", { recoverable: true });
  }

  /** Whether a page asks anybody at all, besides its message in a channel. */
  asksSomebody(): boolean {
    return this.#deps.pager !== undefined || this.#deps.second !== undefined;
  }

  /** What on-call has of a run. */
  incidentsOf(run: string): readonly Incident[] {
    return this.incidents().filter(({ page }) => page.run === run);
  }

  /** The key under which the pager service knows an incident of ours, by its own id. */
  keyOf(pagerId: string): string | undefined {
    const found = this.incidents().find(({ pager }) => pager?.id === pagerId);
    return found === undefined ? undefined : pagerKeyOf(this.#deps.installation, found.id);
  }

  async change(change: PagerChange): Promise<void> {
    await this.#deps.pager?.change(change);
  }

  /** Ends the incident of a page whose cause is gone; nothing when there is none. */
  async resolvePage(key: string, because: string): Promise<void> {
    const { wall } = this.#deps.clock.now();
    await this.#say(key, (incident) => wordOf(incident, "resolved", BELAY, "belay", wall, because));
  }

  /** Somebody's word. False when nothing changed by it. */
  async acknowledge(key: string, by: Actor, intake: string): Promise<boolean> {
    const { wall } = this.#deps.clock.now();
    return this.#say(key, (one) => wordOf(one, "acknowledged", by, throughOf(by), wall), [intake]);
  }

  async resolve(key: string, by: Actor, because: string | undefined, intake: string): Promise<boolean> {
    const { wall } = this.#deps.clock.now();
    return this.#say(key, (one) => wordOf(one, "resolved", by, throughOf(by), wall, because), [intake]);
  }

  /** Asks the next person now. The words say what came of it. */
  async escalate(key: string, by: Actor, because: string | undefined, intake: string): Promise<string> {
    const open = this.#incidents.get(key);
    const incident = open?.keeper.state();
    if (open === undefined || incident === undefined || incident.phase === "resolved")
      return "it is resolved; nobody was asked.";
    const why = `${nameOfWho(by)} asks for somebody else${because === undefined ? "" : `: ${because}`}`;
    const event = await open.pager.escalated(incident, why, by);
    await this.#commit(open, (one) => (one?.phase === "resolved" ? [] : [event]), [intake]);
    if (event.how === "rest") {
      const who = event.assigned.length === 0 ? "" : `: ${event.assigned.join(", ")}`;
      return `${incident.name} went to level ${event.level} in PagerDuty${who}.`;
    }
    return this.#deps.second === undefined
      ? `nobody further can be asked about ${incident.name}: no pager service could move it, and no second channel is set (BELAY_SECOND_CHANNEL_URL).`
      : `nobody further could be asked by PagerDuty about ${incident.name}; the second channel is told now.`;
  }

  /** A word from the pager service; resolves when it is durable. An older word never undoes a newer one. */
  async word(word: PagerWord): Promise<void> {
    const key = keyOfPager(this.#deps.installation, word.dedupKey);
    const open = key === undefined ? undefined : this.#incidents.get(key);
    const incident = open?.keeper.state();
    if (key === undefined || open === undefined || incident === undefined) return;
    const by = { kind: "pagerduty" as const, name: word.by };
    if (word.kind === "escalated") return open.pager.lookSoon();
    if (word.kind === "action") return this.#act(incident, word);
    const { kind } = word;
    await this.#say(key, (one) => wordOf(one, kind, by, "pagerduty", word.occurredAt));
    if (!open.keeper.isFlushed())
      throw new OutsideFault("the journal does not have the word yet", { recoverable: true });
  }

  /** The custom action of an incident: what the phone may do is to take the stage back. */
  async #act({ page, name }: Incident, word: Extract<PagerWord, { kind: "action" }>): Promise<void> {
    const { log, command } = this.#deps;
    if (page.run === undefined || !ROLL_BACK.test(word.action)) {
      const action = word.action.slice(0, 80);
      log.warn("an action was pressed that Belay does not know for this incident", {
        incident: name,
        action,
      });
      return;
    }
    const actor: Actor = { kind: "person", id: `pagerduty:${word.by}`, name: word.by, via: "pagerduty" };
    const stage = page.stage === undefined ? "" : ` ${page.stage}`;
    await command(`rollout rollback${stage} run=${page.run}`, actor, `pagerduty:${word.id}`);
  }

  async #open(page: PageRequest, again: boolean): Promise<Open | undefined> {
    const known = this.#incidents.get(page.key);
    if (known !== undefined) return known;
    const { journal, log } = this.#deps;
    let name = this.#spareName();
    try {
      const stored = await journal.subject("incident", page.key);
      if (stored !== undefined)
        return stored.phase === "resolved" ? undefined : this.#adopt(page.key, stored);
      name = await journal.newIncidentId();
    } catch (error) {
      if (again && this.#mayAskAgain(page.key)) throw error;
      log.error("a page is opened without the journal", { key: page.key, error: messageOfFault(error) });
    }
    this.#askedSince.delete(page.key);
    const open = this.#adopt(page.key, undefined);
    const withChannel = page.channel ?? this.#deps.defaultChannel;
    const whole = withChannel === undefined ? page : { ...page, channel: withChannel };
    await this.#commit(open, () => [{ kind: "triggered", name, page: whole, ...this.#patience() }]);
    return open;
  }

  #mayAskAgain(key: string): boolean {
    const { steady } = this.#deps.clock.now();
    const since = this.#askedSince.get(key) ?? steady;
    this.#askedSince.set(key, since);
    return steady - since < ASK_AGAIN_FOR_MS;
  }

  /** A name for a page that is opened without the journal. */
  #spareName(): string {
    const taken = new Set(this.incidents().map((one) => one.name));
    for (;;) {
      const name = `i-x${Math.floor(this.#deps.clock.random() * 100_000)}`;
      if (!taken.has(name)) return name;
    }
  }

  /** Without a pager service and a second channel nobody else can be asked, and a deadline would mean nothing. */
  #patience(): { readonly ackWithinMs?: number; readonly hasPager?: true } {
    const { pager, second, ackWithinMs = ACK_WITHIN_MS } = this.#deps;
    if (pager === undefined && second === undefined) return {};
    return { ackWithinMs, ...(pager === undefined ? {} : { hasPager: true as const }) };
  }

  #adopt(id: string, state: Incident | undefined): Open {
    const { clock, installation, journal, log, sendNow, pager, second } = this.#deps;
    const keeper = new SubjectKeeper<"incident">(
      {
        kind: "incident",
        id,
        clock,
        journal,
        log,
        sendNow,
        evolve: evolveIncident,
        isOpen: (one) => !isClosed(one, pager !== undefined),
        announce: (one) => messagesOf(one, clock.now().wall),
      },
      state,
    );
    const open: Open = {
      keeper,
      turns: createTurns(),
      pager: new IncidentPager({ clock, log, pager, second, installation }),
      isDeciding: false,
    };
    this.#incidents.set(id, open);
    this.#forgetResolved();
    return open;
  }

  /** Decides and commits in the incident's turn; true when anything was recorded. */
  async #commit(
    open: Open,
    decide: (state: Incident | undefined) => readonly IncidentEvent[],
    intakes: readonly string[] = [],
  ): Promise<boolean> {
    const changed = await open.turns(async () => {
      const events = decide(open.keeper.state());
      if (events.length === 0 && open.keeper.isFlushed()) return false;
      await open.keeper.commit(events, [], intakes);
      return events.length > 0;
    });
    if (changed) this.#bell.ring();
    return changed;
  }

  async #say(
    key: string,
    decide: (incident: Incident) => readonly IncidentEvent[],
    intakes: readonly string[] = [],
  ): Promise<boolean> {
    const open = this.#incidents.get(key);
    if (open === undefined) return false;
    return this.#commit(open, (one) => (one === undefined ? [] : decide(one)), intakes);
  }

  async #watch(): Promise<void> {
    while (!this.#stopped) {
      for (const open of this.#incidents.values()) this.#look(open);
      await this.#bell.wait(TICK_MS);
    }
  }

  /** What is due for one incident; its calls to the outside go on by themselves, so that one that hangs holds up no other. */
  #look(open: Open): void {
    const incident = open.keeper.state();
    if (incident === undefined) return;
    const { over } = this.#deps;
    const because = incident.phase === "resolved" ? undefined : over(incident.page);
    if (because !== undefined) {
      void this.resolvePage(incident.id, because);
      return;
    }
    const facts = this.#facts(open);
    const isDue = dueOf(incident, facts, this.#deps.clock.now()).length > 0;
    const failed = (error: unknown): void =>
      this.#deps.log.error("an incident could not be looked after", {
        incident: incident.name,
        error: messageOfFault(error),
      });
    if ((isDue || !open.keeper.isFlushed()) && !open.isDeciding) {
      open.isDeciding = true;
      this.#commit(open, (one) =>
        one === undefined ? [] : dueOf(one, this.#facts(open), this.#deps.clock.now()),
      )
        .catch(failed)
        .finally(() => {
          open.isDeciding = false;
        });
    }
    if (isDue) return;
    open.pager
      .step(incident, (decide) => this.#commit(open, (one) => (one === undefined ? [] : decide(one))))
      .catch(failed);
  }

  #facts(open: Open): PagerFacts {
    const { pager } = this.#deps;
    const fault = open.pager.fault();
    return {
      hasPager: pager !== undefined,
      hasRest: pager?.rest !== undefined,
      ...(fault === undefined ? {} : { fault }),
    };
  }

  #forgetResolved(): void {
    const closed = [...this.#incidents].filter(([, { keeper }]) => {
      const state = keeper.state();
      return state !== undefined && keeper.isFlushed() && isClosed(state, this.#deps.pager !== undefined);
    });
    for (const [key] of closed.slice(0, Math.max(0, closed.length - RESOLVED_KEPT)))
      this.#incidents.delete(key);
  }
}

/** The message that tells of an incident, made or brought up to date. */
function messagesOf(incident: Incident, wall: number): readonly OutboxDraft[] {
  const { page, id } = incident;
  const { channel, run, tells } = page;
  if (channel === undefined) return [];
  if (run !== undefined && tells !== undefined) {
    const key = `alert:${run}:${tells.about}:${tells.seq}`;
    return [{ run, key, lane: "urgent", body: { kind: "alert", run, channel, ...tells }, wall }];
  }
  const post = incidentPost(incident);
  return [postDraft(`incident:${id}`, "urgent", channel, post, incident.phase === "open", wall)];
}
