//! A service that comes back finds what it had begun.

use super::*;

/// Records until told to go on; as a salvager, finds nothing to do.
const RECORDS: &str = r#"
[ "$4" = --salvage ] && exit 1
exec 9> "$3/lock"; flock 9
echo '{"event":"first_frame","t0":1000000000,"epoch_ms":1700000000120}' > "$3/journal.jsonl"
while [ -d "$3" ] && [ ! -e "$3/go" ]; do sleep 0.05; done
printf film > "$3/Rec-a-1700000000120.mp4"
echo '{"event":"stopped","reason":"room_ended","at":4500000000}
{"event":"finished","duration_s":3.5,"bytes":4,"width":1280,"height":720,"stats":{"elapsed_s":3.5,"painted":0,"recorded":0,"repeated":0,"late":0,"superseded":0,"audio_dbfs":0,"bytes":4,"backlog":0}}' >> "$3/journal.jsonl"
"#;

/// The service's end, as a kill would bring it: its recorders go on.
async fn leave(api: Api) -> (tempfile::TempDir, Config) {
    let mut config =
        Config { recorder_program: Some(api.root.path().join("recorder.sh")), ..Config::default() };
    config.server.listen = SocketAddr::from(([127, 0, 0, 1], 0));
    config.data.dir = api.root.path().join("data");
    // The tasks of a dropped runtime end where they are.
    api.server.abort();
    (api.root, config)
}

#[test]
fn a_recorder_that_outlived_the_service_is_gone_on_with() {
    let runtime = || tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let first = runtime();
    let (root, config, recording) = first.block_on(async {
        let api = Api::new(RECORDS).await;
        let (_, recording) = told(api.start("a")).await;
        api.until(id(&recording), "running").await;
        let (root, config) = leave(api).await;
        (root, config, recording)
    });
    first.shutdown_timeout(Duration::from_secs(10));
    runtime().block_on(async {
        let server = Server::bind(&config).await.unwrap();
        let (address, shutdown) = (server.address(), CancellationToken::new());
        let server = tokio::spawn(server.run(shutdown.clone()));
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let api = Api { root, address, client, shutdown, server };
        assert_eq!(api.until(id(&recording), "running").await["room_id"], "a");
        // Its room is held all the while.
        assert_eq!(told(api.start("a")).await.0, 409);
        let dir = api.root.path().join("data/recordings").join(id(&recording));
        std::fs::write(dir.join("go"), "").unwrap();
        let done = api.until(id(&recording), "completed").await;
        assert_eq!(done["recording_assets"][0]["size"], 4);
        assert_eq!(done["started_at"], "2023-11-14T22:13:20.12Z");
    });
}

#[tokio::test]
async fn a_second_service_over_the_same_data_is_refused_and_changes_nothing() {
    let api = Api::new(STAYS).await;
    let mut config = Config::default();
    config.server.listen = SocketAddr::from(([127, 0, 0, 1], 0));
    config.data.dir = api.root.path().join("data");
    let Err(error) = Server::bind(&config).await else { panic!("two services") };
    let text = error.to_string();
    assert!(matches!(error, ServeError::Data { .. }), "{error:?}");
    assert!(text.contains("another roomreel service uses it"), "{text}");
    assert!(text.contains(config.data.dir.to_str().unwrap()), "{text}");
    assert_eq!(told(api.start("a")).await.0, 200);
    api.shutdown.cancel();
    api.server.await.unwrap().unwrap();
    // Free again, as soon as the first is gone.
    drop(Server::bind(&config).await.unwrap());
}

#[tokio::test]
async fn what_a_newer_version_made_is_not_served() {
    let api = Api::new(FAILS).await;
    told(api.start("a")).await;
    api.shutdown.cancel();
    api.server.await.unwrap().unwrap();
    let mut config = Config::default();
    config.server.listen = SocketAddr::from(([127, 0, 0, 1], 0));
    config.data.dir = api.root.path().join("data");
    let url = format!("sqlite://{}", config.data.dir.join("roomreel.db").display());
    let database = sqlx::SqlitePool::connect(&url).await.unwrap();
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (9000, 'of the future', TRUE, x'00', 0)",
    )
    .execute(&database)
    .await
    .unwrap();
    database.close().await;
    let Err(error) = Server::bind(&config).await else { panic!("a newer database") };
    let text = error.to_string();
    assert!(text.contains("a newer version of roomreel made it"), "{text}");
    assert!(text.contains("9000") && text.contains("run that version"), "{text}");
}
