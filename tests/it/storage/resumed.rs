//! What an upload keeps and what it leaves behind: attempts are counted across restarts, parts
//! that arrived stay, and those that nobody will use go.

use chrono::TimeDelta;

use super::*;

const TWO_PARTS: u64 = 2 * 5 * MIB as u64;

fn by_way_of(middle: &Middle, store: &S3) -> Bench {
    Bench::new(&store.table("main", "").replace(&store.endpoint(), &middle.url()))
}

#[test]
fn failures_are_counted_across_restarts_until_a_part_arrives() {
    let store = S3::rclone();
    let middle = Middle::before(store.port);
    let bench = by_way_of(&middle, &store);
    let first = Utc::now();
    let later = first + TimeDelta::hours(5);
    assert_eq!(bench.upload("main").failing_since(first), first);
    // Another process, and another.
    assert_eq!(bench.upload("main").failing_since(later), first);
    assert_eq!(bench.upload("main").failing_since(later), first);
    let runtime = runtime();
    assert!(runtime.block_on(bench.upload("main").ahead(&bench.file(), TWO_PARTS)).unwrap());
    assert_eq!(bench.upload("main").failing_since(later), later);
    // Somebody asks for another attempt.
    bench.upload("main").forgive();
    let last = later + TimeDelta::hours(1);
    assert_eq!(bench.upload("main").failing_since(last), last);
    runtime.block_on(bench.finish("main")).unwrap();
    assert_eq!(bench.upload("main").failing_since(later), later);
}

#[test]
fn what_arrives_beside_a_part_that_fails_is_not_sent_again() {
    let store = S3::rclone();
    let middle = Middle::before(store.port);
    let bench = by_way_of(&middle, &store);
    let runtime = runtime();
    middle.refuse(Some("partNumber=2&"));
    let error = runtime.block_on(bench.finish("main")).unwrap_err();
    assert_eq!(error.trouble, Trouble::Throttled, "{error}");
    middle.refuse(None);
    assert_eq!(runtime.block_on(bench.finish("main")).unwrap(), film().len() as u64);
    for number in 1..=3 {
        let sent = middle.count(&["PUT", &format!("partNumber={number}&")]);
        assert_eq!(sent, 1, "{:#?}", middle.seen());
    }
    assert!(store.read(KEY).0 == film());
}

#[test]
fn a_server_that_replaces_no_part_gets_all_of_them_again() {
    // rclone has streamed the first part to its files when the next one comes.
    let store = S3::rclone();
    let middle = Middle::before(store.port);
    let bench = by_way_of(&middle, &store);
    let mut whole = film();
    runtime().block_on(async {
        for _ in 0..2 {
            assert!(bench.upload("main").ahead(&bench.file(), TWO_PARTS).await.unwrap());
        }
        whole[100] ^= 1;
        std::fs::write(bench.file(), &whole).unwrap();
        let refused = bench.finish("main").await.unwrap_err();
        assert_eq!(refused.trouble, Trouble::NotSupported, "{refused}");
        assert!(refused.detail.contains("501 NotImplemented"), "{refused}");
        assert_eq!(bench.finish("main").await.unwrap(), whole.len() as u64);
    });
    assert!(store.read(KEY).0 == whole);
    assert_eq!(store.ask("uploads", &[]).as_deref(), Ok("0"));
}

#[test]
fn several_recordings_share_the_parts_that_are_on_their_way() {
    let store = S3::rclone();
    let middle = Middle::before(store.port);
    let bench = by_way_of(&middle, &store);
    let destination = bench.destination("main");
    let keys: Vec<_> = (0..3).map(|n| format!("beam/r{n}/20260101/Rec-r{n}-1.mp4")).collect();
    middle.gather(4);
    runtime().block_on(async {
        let uploads = keys.iter().map(|key| {
            let own = bench.dir.path().join(key.replace('/', "-"));
            std::fs::create_dir(&own).unwrap();
            let mut upload = destination.upload(key, "video/mp4", &own).unwrap();
            let file = bench.file();
            async move { upload.finish(&file).await.unwrap() }
        });
        let sizes = futures::future::join_all(uploads).await;
        assert_eq!(sizes, [film().len() as u64; 3]);
    });
    // Nine parts, and never more than four of them in memory.
    assert_eq!(middle.most_parts(), 4);
    for key in &keys {
        assert!(store.read(key).0 == film(), "{key}");
    }
}

#[test]
fn parts_that_nobody_will_use_are_removed_from_the_bucket() {
    let store = S3::rclone();
    let middle = Middle::before(store.port);
    let bench = by_way_of(&middle, &store);
    let record = bench.dir.path().join("upload.main.json");
    runtime().block_on(async {
        assert!(bench.upload("main").ahead(&bench.file(), TWO_PARTS).await.unwrap());
        assert_eq!(store.ask("uploads", &[]).as_deref(), Ok("1"));
        let base = "http://127.0.0.1:1".parse().unwrap();
        let storage = Storage::open(bench.dir.path(), base, &bench.config.storage).unwrap();
        storage.abandon_uploads(bench.dir.path()).await;
        assert_eq!(store.ask("uploads", &[]).as_deref(), Ok("0"));
        assert!(!record.exists());
        // What became an object stays.
        bench.finish("main").await.unwrap();
        storage.abandon_uploads(bench.dir.path()).await;
        assert_eq!(store.keys(), [KEY]);
    });
}
