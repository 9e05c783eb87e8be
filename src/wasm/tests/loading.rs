//! Files that are no plugins, or none of ours: each is a name with one clear line, and the rest is loaded.

use super::*;
use crate::base::limits;
use crate::wasm::bundled::BUNDLED;

#[tokio::test]
async fn every_broken_file_gets_one_clear_line() {
    let good = Guest::default().component();
    let core = wat::parse_str("(module)").unwrap();
    let empty = wat::parse_str("(component)").unwrap();
    let import = |name: &str| {
        wat::parse_str(Guest::default().text().replacen(
            "(import",
            &format!(r#"(import "{name}" (instance)) (import"#),
            1,
        ))
        .unwrap()
    };
    let guest = |change: fn(&mut Guest)| {
        let mut guest = Guest::default();
        change(&mut guest);
        guest.component()
    };
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("zero", vec![], "the file is empty"),
        ("text", b"hello, I am no plugin".to_vec(), "the file is not WebAssembly"),
        ("wat", Guest::default().text().into_bytes(), "the file is not WebAssembly"),
        ("core", core, "the file is a core module, not a component; build it for wasm32-wasip2"),
        ("header", good[..6].to_vec(), "the file is WebAssembly of an unknown kind, or was cut off"),
        ("truncated", good[..good.len() / 2].to_vec(), "the file is not a component this host can run: "),
        ("large", vec![0; 20_000], "the file is larger than the 16384 bytes allowed"),
        ("stranger", empty, "it does not export moltrun:step/guest@1.0.0; it is no moltrun plugin"),
        (
            "future",
            guest(|g| g.interface_version = "2.0.0"),
            "it is built for moltrun:step@2.0.0, and this moltrun speaks",
        ),
        ("sockets", import("wasi:sockets/tcp@0.2.6"), "it imports `wasi:sockets/tcp@0.2.6`, which no plugin is given"),
        ("network", import("wasi:http/incoming-handler@0.2.6"), "it imports `wasi:http/incoming-handler@0.2.6`"),
        (
            "later",
            import("moltrun:step/state@1.1.0"),
            "it imports `moltrun:step/state@1.1.0`, which no plugin is given",
        ),
        ("state", vec![], "a plugin is named after its file: `state` is reserved for built-in steps; rename the file"),
        ("Upper", vec![], "a plugin is named after its file: `Upper` is no plugin name; one is [a-z][a-z0-9-]*"),
        (
            "loops",
            guest(|g| g.describe = "(loop $l (br $l)) unreachable"),
            "asked what it offers, it took longer than 1.0 s",
        ),
        (
            "starts",
            guest(|g| g.functions = "(func $spin (loop $l (br $l))) (start $spin)"),
            "asked what it offers, it took longer than 1.0 s",
        ),
        ("traps", guest(|g| g.describe = "unreachable"), "asked what it offers, it trapped: "),
        ("claims", guest(|g| g.step = "switch"), "it offers a step `switch`; that word is reserved"),
        ("shadows", guest(|g| g.step = "keyword-score/score"), "it offers a step `keyword-score/score`; a name is"),
        ("acts", guest(|g| g.effect = 2), "its step `step` claims to be at-most-once"),
        ("effect", guest(|g| g.effect = 9), "asked what it offers, it broke the interface: "),
        ("schema", guest(|g| g.input_schema = "{"), "its step `step` has a bad input schema: it is not JSON: "),
    ];
    let mut folder = Folder::new().file("good", &good);
    for (name, bytes, _) in &cases {
        folder = folder.file(name, bytes);
    }
    fs::create_dir(folder.0.path().join("folder.wasm")).unwrap();
    fs::write(folder.0.path().join("README.md"), "not looked at").unwrap();

    let plugins = load(PluginsConfig { max_file_bytes: 16_384, ..folder.config() }).await;
    for (name, _, reason) in &cases {
        let found = plugins.broken.get(*name).unwrap_or_else(|| panic!("{name} is not broken"));
        assert!(found.starts_with(reason), "{name}: {found}");
        assert!(!found.contains('\n') && found.len() < 600, "{name}: {found}");
    }
    assert!(plugins.broken["folder"].ends_with("is not a regular file"));
    assert_eq!(plugins.broken.len(), cases.len() + 1);
    assert_eq!(run(&plugins, "good", json!({"a": 1})).await, Ok(Outcome::ok(json!({"a": 1}))));
    assert_works(&plugins).await;
}

/// It is all holes, so it takes no room on the disk; nor does it in memory.
#[tokio::test]
async fn a_file_of_200_mb_is_not_read() {
    let folder = Folder::new();
    fs::File::create(folder.0.path().join("vast.wasm")).unwrap().set_len(200 << 20).unwrap();
    let plugins = folder.load().await;
    assert_eq!(plugins.broken["vast"], format!("the file is larger than the {} bytes allowed", limits::PLUGIN_FILE));
    assert_works(&plugins).await;
}

#[tokio::test]
async fn a_file_wins_over_the_bundled_plugin_of_its_name() {
    let folder = Folder::new().with("keyword-score", &Guest::default());
    let plugins = folder.load().await;
    let names = plugins.steps().map(|step| step.spec().name.clone());
    let names: Vec<String> = names.filter(|name| name.starts_with("keyword-score/")).collect();
    assert_eq!(names, ["keyword-score/step"]);
}

#[tokio::test]
async fn a_pinned_plugin_must_be_the_pinned_one() {
    let folder = Folder::new().with("pinned", &Guest::default());
    let load = async |sha256: &str| {
        let grant = Grant { sha256: Some(sha256.into()), ..Grant::default() };
        load(PluginsConfig { grants: [("pinned".to_string(), grant)].into(), ..folder.config() }).await
    };
    let plugins = load("00").await;
    let reason = &plugins.broken["pinned"];
    assert!(reason.starts_with("its sha256 is ") && reason.contains("and its grant pins 00;"), "{reason}");
    let right = sha256(&Guest::default().component()).to_uppercase();
    assert!(load(&right).await.broken.is_empty());
}

#[tokio::test]
async fn a_grant_bounds_memory_and_time() {
    let folder = Folder::new()
        .with("wide", &Guest { pages: 3 * 16, ..Guest::default() })
        .with("slow", &Guest::doing("(loop $l (br $l)) unreachable"));
    let load = async |name: &str, grant: Grant| {
        load(PluginsConfig { grants: [(name.to_string(), grant)].into(), ..folder.config() }).await
    };
    let small = load("wide", Grant { memory_bytes: Some(2 << 20), ..Grant::default() }).await;
    assert_eq!(small.broken["wide"], "asked what it offers, it wanted more than its 2 MiB of memory");
    let quick = load("slow", Grant { timeout_ms: Some(20), ..Grant::default() }).await;
    let failure = permanent(run(&quick, "slow", json!({})).await);
    assert!(failure.message.ends_with("in its step step took longer than 20 ms"), "{}", failure.message);
    // Else the wait for a turn would be taken off the plugin's own time.
    assert_eq!(step(&quick, "slow/step").spec().timeout_ms, limits::STEP_TIMEOUT_MS + 20);
    let long = Grant { timeout_ms: Some(600_000), ..Grant::default() };
    assert_eq!(step(&load("wide", long).await, "wide/step").spec().timeout_ms, limits::STEP_TIMEOUT_MS + 600_000);
}

#[cfg(unix)]
#[tokio::test]
async fn compiled_plugins_are_kept_and_damage_is_repaired() {
    let folder = Folder::new().with("echo", &Guest::default());
    let cache = folder.0.path().join("cache");
    let config = PluginsConfig { cache_dir: Some(cache.clone()), ..folder.config() };
    let entries = || {
        let mut entries: Vec<_> = fs::read_dir(&cache).unwrap().map(|e| e.unwrap().path()).collect();
        entries.retain(|path| path.extension().is_some_and(|extension| extension == "cwasm"));
        entries.sort();
        entries
    };
    load(config.clone()).await;
    let first = entries();
    assert_eq!(first.len(), 1 + BUNDLED.len(), "one for the file and one for each bundled plugin");
    let sound: Vec<Vec<u8>> = first.iter().map(|path| fs::read(path).unwrap()).collect();
    for path in &first {
        let mut damaged = fs::read(path).unwrap();
        let middle = damaged.len() / 2;
        damaged[middle] ^= 0xff;
        fs::write(path, damaged).unwrap();
    }
    for _ in 0..2 {
        let plugins = load(config.clone()).await;
        assert!(plugins.broken.is_empty(), "{:?}", plugins.broken);
        assert_eq!(run(&plugins, "echo", json!({"a": 1})).await, Ok(Outcome::ok(json!({"a": 1}))));
        assert_works(&plugins).await;
    }
    assert_eq!(entries(), first);
    for (path, sound) in first.iter().zip(sound) {
        assert_eq!(fs::read(path).unwrap().len(), sound.len(), "{} is repaired", path.display());
    }
}

#[tokio::test]
async fn one_component_is_loaded_by_itself_and_is_known() {
    let folder = Folder::new().with("echo", &Guest::default());
    let grant = Grant { timeout_ms: Some(7_000), ..Grant::default() };
    let config = PluginsConfig { grants: [("other".to_string(), grant.clone())].into(), ..folder.config() };
    let host = Host::new(config, Services::none());
    let found = host.found().await;
    assert!(found.contains_key("echo") && BUNDLED.iter().all(|(name, _)| found.contains_key(*name)));
    assert_eq!(found.len(), 1 + BUNDLED.len());
    let origin = found["echo"].clone();
    assert_eq!(origin, Origin::File(folder.0.path().join("echo.wasm")));

    let plugin = host.load("other", origin.clone()).await.ok().unwrap();
    let component = Guest::default().component();
    assert_eq!((plugin.name.as_str(), plugin.version.as_str()), ("other", "1.2.3"));
    assert_eq!((plugin.digest, plugin.bytes), (sha256(&component), component.len() as u64));
    assert_eq!((plugin.origin, plugin.asks, plugin.grant), (origin, Asks::default(), grant));
    assert_eq!(plugin.steps[0].spec().name, "other/step");

    let bytes = Origin::Bundled(b"\0asm\x0d\0\x01\0");
    let error = host.load("bytes", bytes).await.err().unwrap();
    assert!(error.starts_with("it does not export moltrun:step/guest@1.0.0"), "{error}");
}

/// It counts as long as the plugin has the memory it answered with.
#[cfg(unix)]
#[tokio::test]
async fn what_a_plugin_said_is_kept_beside_its_code() {
    let folder = Folder::new().with("wide", &Guest { pages: 3 * 16, ..Guest::default() });
    let with = |memory_bytes: usize| {
        let grant = Grant { memory_bytes: Some(memory_bytes), ..Grant::default() };
        PluginsConfig {
            cache_dir: Some(folder.0.path().join("cache")),
            grants: [("wide".to_string(), grant)].into(),
            ..folder.config()
        }
    };
    let first = load(with(4 << 20)).await;
    assert!(first.broken.is_empty(), "{:?}", first.broken);
    let second = load(with(8 << 20)).await;
    let wide = |plugins: Plugins| plugins.loaded.into_iter().find(|plugin| plugin.name == "wide").unwrap();
    let (first, second) = (wide(first), wide(second));
    assert_eq!((&first.name, &first.version, &first.digest), (&second.name, &second.version, &second.digest));
    assert_eq!((first.bytes, &first.asks), (second.bytes, &second.asks));
    let spec = |plugin: &Plugin| format!("{:?}", plugin.steps[0].spec());
    assert_eq!(spec(&first), spec(&second));
    // Asked with less, it fails as it would have without a cache.
    let third = load(with(2 << 20)).await;
    assert_eq!(third.broken["wide"], "asked what it offers, it wanted more than its 2 MiB of memory");
}

/// Guests are built against a released interface: a change of it would leave them outside. A new ability is a new import,
/// another form is another version.
#[test]
fn the_released_interface_is_as_it_was() {
    let released = "3e2a320529fe7f0cc8eeaae1832a2abd38e8e929aef54d2c550783d39b3eaf8c";
    assert_eq!(sha256(include_bytes!("../../../wit/step.wit")), released);
}
