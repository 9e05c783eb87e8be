//! Every bound of the house, each with its reason. Sizes in bytes unless the name says otherwise.

/// One workflow, test or config file. A thousand long steps fit; a file larger than this was not written by a person.
pub const SOURCE_FILE: usize = 1024 * 1024;

/// Nesting of a YAML file. Deeper than any workflow, shallow enough for every recursive walk over it.
pub const YAML_DEPTH: usize = 64;

/// Nodes of a YAML file after its aliases are expanded: what an anchor bomb runs into.
pub const YAML_NODES: usize = 200_000;

/// Text of a YAML file after its aliases are expanded: a few long values, used a few times.
pub const YAML_TEXT: usize = 4 * SOURCE_FILE;

/// Diagnostics of one file. Nobody reads more, and a file of nonsense could make one a line.
pub const DIAGNOSTICS: usize = 200;

/// Steps of one workflow, those of all its blocks together. Arbitrary, far above what a person can review.
pub const WORKFLOW_STEPS: usize = 500;

/// Instructions one expression may spend: about 20 ms of work.
pub const EXPRESSION_FUEL: u64 = 200_000;

/// Text of one expression, or of one text with expressions in it. Larger texts than any prompt; what an expression can
/// build without a filter grows with its length.
pub const EXPRESSION_SOURCE: usize = 64 * 1024;

/// Words and marks of one expression. MiniJinja's compiler recurses once for each operator of a chain, and 3,000 of them
/// end a thread's 2 MiB stack.
pub const EXPRESSION_TOKENS: usize = 1_000;

/// `{% … %}` of one text, for the same reason: every `elif` is a level.
pub const EXPRESSION_STATEMENTS: usize = 200;

/// Items `range`, `batch` and `slice` may make.
pub const EXPRESSION_ITEMS: usize = 10_000;

/// Work the filters of one evaluation may do, an item or 64 bytes of text each 1: about 100 ms. Fuel counts
/// instructions, and one instruction may sort a list.
pub const EXPRESSION_WORK: u64 = 2_000_000;

/// What one template may render to.
pub const EXPRESSION_OUTPUT: usize = 1024 * 1024;

/// One step's output, as JSON text: it is journaled and kept in memory while its run is active.
pub const STEP_OUTPUT: usize = 1024 * 1024;

/// A webhook's body. MoltFlow's text messages are a few KB.
pub const WEBHOOK_BODY: usize = 1024 * 1024;

/// Connections to the daemon at once: half of the 1,024 files that a process may usually have open. The rest is for sends,
/// plugins and the database.
pub const CONNECTIONS: u32 = 512;

/// Time for a request's head, and for the next request on a connection, in milliseconds. A head is one packet.
pub const REQUEST_HEAD_MS: u64 = 10_000;

/// Time for a request's body, in milliseconds: [`WEBHOOK_BODY`] over a bad line.
pub const REQUEST_BODY_MS: u64 = 30_000;

/// An answer of the far side (MoltFlow, a model, the web) that is read into memory.
pub const HTTP_RESPONSE: usize = 4 * 1024 * 1024;

/// The beginning of a refusal that is read, where the body is read as it comes.
pub const HTTP_REFUSAL: usize = 16 * 1024;

/// Headers that one request of a workflow may set. Arbitrary, far above what APIs want.
pub const HTTP_HEADERS: usize = 64;

/// One server-sent event: a large webhook's body in it fits.
pub const SSE_EVENT: usize = 1024 * 1024;

/// One answer of a model, in bytes of text: many times the longest WhatsApp message, and what fits into [`STEP_OUTPUT`] however it is
/// escaped.
pub const AI_ANSWER: usize = 128 * 1024;

/// A model's answer as a stream. Each word of [`AI_ANSWER`] comes in some 300 bytes of JSON; none of it is kept.
pub const AI_STREAM: usize = 32 * 1024 * 1024;

/// What is said again of an answer that is to be mended, in bytes.
pub const AI_REPAIR: usize = 32 * 1024;

/// Turns of one conversation that are remembered: more than any model makes use of.
pub const AI_TURNS: u64 = 100;

/// One conversation that is remembered, in bytes: it is read and written as a whole, by one run after the other.
pub const AI_HISTORY: usize = 64 * 1024;

/// Models that one question may be put to, one after the other.
pub const AI_FALLBACKS: usize = 8;

/// A file read by `data.read`, row by row: [`FOR_EACH_ITEMS`] rows of 1 KiB.
pub const DATA_FILE: u64 = 1024 * 1024 * 1024;

/// One row of such a file, as it stands in it. What an open quote or a missing line end runs into.
pub const DATA_ROW: usize = 256 * 1024;

/// The title and the details of an approval: what a person takes in, journaled and listed as a whole.
pub const APPROVAL_TITLE: usize = 1024;
pub const APPROVAL_DETAILS: usize = 64 * 1024;

/// One value of `state.*`, as JSON text: it is read and written as a whole, by one run after the other.
pub const STATE_VALUE: usize = 64 * 1024;

/// Runs that are being worked on at once. Each holds its state in memory; the rest waits as rows.
pub const ACTIVE_RUNS: usize = 1024;

/// Runs accepted but not finished by a worker, a large event counting as several ([`QUEUED_PIECE`]). At this bound webhooks are
/// answered 503, so that MoltFlow redelivers.
pub const QUEUED_RUNS: usize = 20_000;

/// Requests waiting for the store's writer; senders wait beyond it.
pub const WRITER_QUEUE: usize = 4096;

/// Requests that share one commit. Larger batches gain nothing measurable and make the first one wait.
pub const WRITER_BATCH: usize = 512;

/// Items of one `for_each`: a large customer base. Settled items leave only their counts in memory.
pub const FOR_EACH_ITEMS: usize = 1_000_000;

/// Items of one `for_each` that run at once.
pub const FOR_EACH_CONCURRENCY: u32 = 256;

/// Codes that a `for_each` counts for its items that did not succeed; the rest is counted under `other`. A far side that makes
/// up a code for each failure must not fill the journal with them.
pub const FOR_EACH_REASONS: usize = 50;

/// Sessions that `moltrun plan` tells apart: more than a person has phones.
pub const PLAN_NAMES: usize = 50;

/// Examples of one kind that `moltrun plan` shows: enough to see what is wrong with a list.
pub const PLAN_EXAMPLES: usize = 5;

/// Failures listed in a `for_each` output; the counts are always complete.
pub const FOR_EACH_FAILURES: usize = 100;

/// Runs with one `concurrency` key that a workflow may let go on at once: more than [`ACTIVE_RUNS`] never are.
pub const CONCURRENCY_LIMIT: u32 = 1024;

/// Attempts a `retry` may ask for. With doubling pauses, 100 attempts last longer than any message matters.
pub const RETRY_ATTEMPTS: u32 = 100;

/// How long a webhook redelivery is recognised, in milliseconds: 7 days, longer than any redelivery schedule seen.
pub const DEDUPE_TTL_MS: i64 = 7 * 24 * 60 * 60 * 1000;

/// Instants one schedule may make up for after an outage, newest kept.
pub const CATCH_UP_INSTANTS: usize = 1000;

/// Due instants that wait for the engine to accept them; later ones wait in the schedules themselves, where they take no
/// memory of their own. Twice the most schedules that are meant to fall due at once.
pub const SCHEDULE_READY: usize = 200_000;

/// A schedule's jitter, in milliseconds: a day. It spreads load; what is meant to run at another time says so in its pattern.
pub const SCHEDULE_JITTER_MS: u64 = 24 * 60 * 60 * 1000;

/// Characters of one cron pattern. Longer than any that people write; lists of all minutes fit.
pub const CRON_PATTERN: usize = 512;

/// Memory of one plugin instance.
pub const PLUGIN_MEMORY: usize = 64 * 1024 * 1024;

/// A plugin component's file. The largest guest language measured (Python) is 19 MB.
pub const PLUGIN_FILE: usize = 64 * 1024 * 1024;

/// Input or output of one plugin call, as JSON text.
pub const PLUGIN_JSON: usize = 1024 * 1024;

/// Plugin calls at once; also the size of the instance pool.
pub const PLUGIN_CALLS: u32 = 64;

/// Log lines one plugin call may write; later ones are counted and dropped.
pub const PLUGIN_LOG_LINES: u32 = 100;

/// One log line of a plugin, cut beyond it.
pub const PLUGIN_LOG_LINE: usize = 4096;

/// Host calls of one plugin call: far above what logging and reading the context need, so that a flood ends early.
pub const PLUGIN_HOST_CALLS: u32 = 10_000;

/// Plugins of one folder, and steps of one plugin. Arbitrary, far above what a person keeps an overview of.
pub const PLUGINS: usize = 256;
pub const PLUGIN_STEPS: usize = 64;

/// A JSON Schema of a plugin step or of an `output`, as text.
pub const PLUGIN_SCHEMA: usize = 64 * 1024;

/// Nodes of such a schema after its references are followed: what a schema bomb runs into. Every value of an
/// output may meet each of them.
pub const PLUGIN_SCHEMA_NODES: usize = 5_000;

/// Nesting of such a schema, references followed: far above any real one, shallow enough for every recursive walk
/// over it.
pub const PLUGIN_SCHEMA_DEPTH: usize = 128;

/// Schemas that a value of `with:` is held against when a workflow is checked, one for each place and schema: what is
/// beyond is judged when the step runs. Far more than a value that a person writes meets; a tenth of a second.
pub const SCHEMA_VISITS: usize = 200_000;

/// Mistakes that are told of one step's `with:`.
pub const SCHEMA_MISFITS: usize = 20;

/// Component-model handles of one plugin call; a guest that makes more traps.
pub const PLUGIN_HANDLES: usize = 1_000;

/// WASI resources (streams, pollables) of one plugin call; a guest that makes more traps.
pub const PLUGIN_RESOURCES: usize = 1_000;

/// The pause a plugin may ask for with `later`, in milliseconds: at least a second, or a step that always asks would
/// spin, for it costs no attempt; at most a day.
pub const PLUGIN_LATER_MS: std::ops::RangeInclusive<u64> = 1_000..=86_400_000;

/// Compiled plugins that are kept for the next start: a folder full of them, and a few versions of some.
pub const PLUGIN_CACHE_ENTRIES: usize = 512;

/// A compiled plugin. Machine code is about three times the size of its component.
pub const PLUGIN_CACHE_ENTRY: usize = 256 * 1024 * 1024;

/// What a plugin said of itself, kept beside its compiled code, as JSON text: several long schemas. A plugin that says more
/// is asked at every start.
pub const PLUGIN_KEPT: usize = 1024 * 1024;

/// Time one plugin call may take unless the plugin's grant names another, in milliseconds. A step's `timeout` can only
/// shorten it.
pub const PLUGIN_TIMEOUT_MS: u64 = 5_000;

/// Time one attempt of a step may take when it names no `timeout`, in milliseconds; for a plugin's step that is the wait
/// for its turn, and its own time comes on top.
pub const STEP_TIMEOUT_MS: u64 = 60_000;

/// Time `describe` may take when a plugin is loaded, in milliseconds.
pub const PLUGIN_DESCRIBE_MS: u64 = 1_000;

/// Places that a plugin asks for, secrets it asks for, and places of one secret: more than any service has.
pub const PLUGIN_ASKS: usize = 64;

/// Requests of one plugin call: a page or two of a list, not a crawl.
pub const PLUGIN_HTTP_REQUESTS: u32 = 32;

/// Those of one call on their way at once; further ones wait. Each may fill [`HTTP_RESPONSE`].
pub const PLUGIN_HTTP_AT_ONCE: usize = 4;

/// The body of a plugin's request: as large as its output may be.
pub const PLUGIN_HTTP_BODY: usize = 1024 * 1024;

/// Answers that one call has been given and has not read, in bytes: four of the largest.
pub const PLUGIN_HTTP_KEPT: usize = 4 * HTTP_RESPONSE;

/// The headers of a plugin's request, and those of an answer it is given: what servers accept at most, several times.
pub const PLUGIN_HTTP_HEADERS: usize = 32 * 1024;

/// The URL of a plugin's request: what servers accept at most, twice.
pub const PLUGIN_HTTP_URL: usize = 16 * 1024;

/// What a plugin may write to a request's body at once. Small, because a call may have [`PLUGIN_RESOURCES`] bodies that
/// nobody reads.
pub const PLUGIN_HTTP_PIECE: usize = 16 * 1024;

/// A secret that plugins use: long tokens fit. It is one line, so neither keys nor certificates as PEM are meant.
pub const PLUGIN_SECRET: usize = 8 * 1024;

/// Lines that the host writes about one call (what it denied, and why). A guest that goes on after so many denials has
/// stopped listening.
pub const PLUGIN_WARNINGS: u32 = 16;

/// A key and a value of a plugin's state, keys of one call, and all of a plugin's values together. Each key is held while
/// its call lasts; the sum is what a database of many plugins can bear.
pub const PLUGIN_STATE_KEY: usize = 512;
pub const PLUGIN_STATE_VALUE: usize = 64 * 1024;
pub const PLUGIN_STATE_KEYS: usize = 64;
pub const PLUGIN_STATE_BYTES: u64 = 16 * 1024 * 1024;

/// What a value counts beside its own and its key's bytes: about what the database's row needs, so that a million empty
/// values are not free.
pub const PLUGIN_STATE_ENTRY: usize = 64;

/// Events of one commit, and their outputs as JSON text: a run of nothing but pure steps commits now and then, so that it
/// neither grows nor keeps a stop waiting.
pub const COMMIT_EVENTS: usize = 256;
pub const COMMIT_BYTES: usize = 1024 * 1024;

/// What accepted runs may hold in memory is counted in pieces of this size: every run is one, and its event as many as it
/// fills. With [`QUEUED_RUNS`] pieces that is 80 MB.
pub const QUEUED_PIECE: usize = 4096;

/// Items of one `for_each` that wait for a person. More of them are no longer single cases, so no further item starts: one
/// lost connection in a hundred of a broadcast to ten thousand is not yet, with room to spare.
pub const FOR_EACH_HELD: usize = 500;

/// Failed items of one `for_each` whose blocks are kept, so that a retry repeats nothing of them that succeeded, and the
/// text of their outputs: a bad day of a large broadcast. What is beyond is done again whole, or, where that would repeat an
/// effect, not at all.
pub const FOR_EACH_KEPT: usize = 1_000;
pub const FOR_EACH_KEPT_BYTES: usize = 4 * 1024 * 1024;

/// One collected value of a `for_each`, as JSON text. Each is journaled.
pub const COLLECTED_VALUE: usize = 16 * 1024;

/// Times in a row that a far side may put off one attempt; then it counts as failed. A thousand waits of a minute are most of
/// a day.
pub const LATER_IN_A_ROW: u32 = 1000;

/// The text of a failure: what a person reads, not what a far side wrote.
pub const FAILURE_MESSAGE: usize = 2048;

/// What a failure says besides, as JSON: a far side's answer in short, not the answer.
pub const FAILURE_DETAILS: usize = 16 * 1024;

/// Lines that one attempt of a step leaves in the journal, and their bytes in all: for a person who looks why, not for
/// programs that look what.
pub const STEP_LOG_LINES: usize = 50;
pub const STEP_LOG_BYTES: usize = 16 * 1024;

/// Attempts of one step whose lines are shown with its run, the latest ones, and bytes of all lines that are: what a person
/// reads first. The rest is asked for by itself.
pub const LOGGED_ATTEMPTS: usize = 8;
pub const LOG_SHOWN: usize = 128 * 1024;

/// Rows of one page of `runs list`.
pub const PAGE: u32 = 500;

/// Runs of one page of what waits for a person: each is read whole.
pub const ATTENTION_PAGE: u32 = 100;

/// What a person says with a decision, in bytes: journaled, and shown in a line.
pub const COMMENT: usize = 2048;

/// Redirects of one request. Browsers allow 20; a healthy service needs one or two.
pub const REDIRECTS: usize = 5;

/// The longest pause a far side may ask for, in milliseconds: one day. A larger figure is a mistake in its unit.
pub const RETRY_AFTER_MS: u64 = 24 * 60 * 60 * 1000;

/// Characters of one WhatsApp text message; the app itself refuses more.
pub const MESSAGE_TEXT: usize = 65_536;

/// A request's body at the sandbox. The API's own are a few KB; a text of [`MESSAGE_TEXT`] characters fits.
pub const SANDBOX_BODY: usize = 512 * 1024;

/// Sent messages the sandbox remembers, newest kept; the count goes on.
pub const SANDBOX_LEDGER: usize = 100_000;

/// Text of the sent messages the sandbox remembers, and of the webhook deliveries it has waiting, each.
pub const SANDBOX_TEXT: usize = 64 * 1024 * 1024;

/// Sessions, webhooks, monitored groups, faults and scripted answers the sandbox holds, of each kind. Creating more is `PLAN_LIMIT_REACHED`.
pub const SANDBOX_OBJECTS: usize = 100;

/// Tokens the sandbox remembers, newest kept.
pub const SANDBOX_TOKENS: usize = 1_000;

/// Webhook deliveries waiting in one lane of the sandbox; beyond it, simulated messages are answered 503.
pub const SANDBOX_LANE: usize = 4_096;

/// Connections to the sandbox at once; others wait to be accepted. A little below the 1,024 files that a process may
/// usually have open.
pub const SANDBOX_CONNECTIONS: usize = 900;

/// Streams of session events at the sandbox at once, each of them a connection that is kept.
pub const SANDBOX_STREAMS: usize = 64;

/// Workflow files of one folder. Arbitrary, far above what people keep in one place.
pub const WORKFLOW_FILES: usize = 10_000;

/// Folders within folders that are searched for workflow files: ends a loop of links.
pub const FOLDER_DEPTH: usize = 16;

/// Outside events a run remembers to have taken, the latest. A redelivery comes within minutes.
pub const TAKEN_EVENTS: usize = 256;

/// `for_each` steps within each other. Arbitrary, more than a person can follow.
pub const FOR_EACH_DEPTH: usize = 4;

/// A key of `once`, `state.*` or `concurrency`, in bytes. Ids, phone numbers and dates fit many times over.
pub const KEY: usize = 512;

/// Calls within calls. Arbitrary, more than a person can follow; ends a workflow that calls itself.
pub const CALL_DEPTH: u32 = 16;

/// Events of one page of a journal.
pub const JOURNAL_PAGE: u32 = 5_000;

/// How long a process owns its database without renewing that, in milliseconds: what a second one waits if it cannot tell
/// whether the first is still there. Three renewals may fail before.
pub const LEASE_MS: i64 = 15_000;

/// How often the ownership is renewed, in milliseconds, and how often one who waits looks.
pub const LEASE_RENEW_MS: i64 = 4_000;
pub const LEASE_LOOK_MS: i64 = 500;

/// Rows of the journal and of lists that one batch of pruning removes, each, and their bytes: a few milliseconds in which
/// no run commits.
pub const PRUNE_ROWS: u32 = 2_000;
pub const PRUNE_BYTES: i64 = 8 * 1024 * 1024;

/// Free pages of the database (4 KB each) that are kept for what comes: this many, or one in so many of all.
pub const SPARE_PAGES: i64 = 256;
pub const SPARE_PAGES_SHARE: i64 = 8;

/// Pages that one batch of pruning gives back to the file system: each may move another one.
pub const SHRINK_PAGES: i64 = 256;

/// Of those, runs of one workflow, unless the configuration says otherwise: half, so that a flood of one workflow leaves
/// the others room.
pub const WORKERS_PER_WORKFLOW: usize = ACTIVE_RUNS / 2;

/// Timers in memory that are read from the store at once; up to twice as many are kept. At 100,000 a minute a page lasts two
/// seconds, many times what reading it takes, and the window is half a megabyte.
pub const TIMER_WINDOW: usize = 4096;

/// Runs that are due and not yet taken by the engine; the rest stays in the window. One for each worker.
pub const DUE_RUNS: usize = ACTIVE_RUNS;

/// A concurrency key, as text. A longer one is known by its digest: a key is kept in memory as long as one of its runs
/// has not ended.
pub const LANE_KEY: usize = 128;

/// Runs a skipped one names as its reason. Nobody reads more.
pub const LANE_NAMED: usize = 10;

/// The path of a webhook, after `/hooks/`. Arbitrary, far above what a person types.
pub const HOOK_PATH: usize = 200;

/// The name of a secret. Arbitrary, far above what a person types.
pub const SECRET_NAME: usize = 64;

/// Runs of `workflow` triggers after each other, calls between them counted too: ends a circle that only shows at run time,
/// such as one through a `call` whose workflow is a template.
pub const FOLLOW_DEPTH: u32 = 16;

/// Streams of session events that are open at once, each a connection: a fifth of [`CONNECTIONS`].
pub const STREAMS: usize = 100;

/// The first pause before a lost stream of session events is opened again, in milliseconds, and the longest: a far side that
/// is down is asked once a minute.
pub const STREAM_PAUSE_MS: u64 = 1_000;
pub const STREAM_PAUSE_MAX_MS: u64 = 60_000;

/// The first pause before MoltFlow is asked again to register the webhook, in milliseconds, and the longest.
pub const REGISTER_PAUSE_MS: u64 = 2_000;
pub const REGISTER_PAUSE_MAX_MS: u64 = 5 * 60_000;

/// The longest pause that a sender's jitter may make after a send, in milliseconds: an hour. A longer one is a rate.
pub const SENDER_JITTER_MS: u64 = 60 * 60 * 1000;

/// Sends of one day that a policy may allow, and days of a warm-up: far above what any number survives.
pub const SENDER_DAILY_CAP: u64 = 1_000_000;
pub const SENDER_WARM_UP: usize = 366;

/// Words of one opt-out list, and characters of a word: every language of a country, and a short phrase.
pub const SENDER_WORDS: usize = 100;
pub const SENDER_WORD: usize = 64;

/// Sends of one sender that wait and are known one by one: several broadcasts at their widest. Those beyond wait unseen.
pub const SENDER_HELD: usize = 100_000;

/// Sessions without a policy whose status is remembered. Their names come from outside.
pub const SENDER_SESSIONS: usize = 1_000;

/// Waiting sends of one sender that are shown, and runs among them that are looked up before that.
pub const SENDER_SHOWN: usize = 5;
pub const SENDER_RUNS: usize = 200;

/// People of one sender who opted out, as far as they are counted for a page.
pub const SENDER_OPTED_OUT: usize = 100_000;
