//! The same schema on both, made once, and not touched by a version that does not know it.

use std::collections::BTreeSet;
use std::str::FromStr as _;

use futures_util::future::join_all;
use rusqlite::Connection;
use store::{Place, Settings, Store, StoreFault};

use crate::stand::{Stand, on_both};

on_both!(replicas_that_start_together_make_one_schema);

async fn replicas_that_start_together_make_one_schema(stand: &Stand) {
    for store in join_all((0..6).map(|_| stand.open())).await {
        store.ping().await.unwrap();
    }
}

#[tokio::test]
async fn of_processes_that_make_one_file_none_is_refused() {
    for _ in 0..400 {
        let new = Stand::sqlite();
        join_all((0..8).map(|_| new.open())).await;
    }
}

/// Table, column or index, kind, whether it may be null, place in the primary key.
type Columns = BTreeSet<(String, String, String, bool, i64)>;

fn of_sqlite(path: &std::path::Path) -> Columns {
    let connection = Connection::open(path).unwrap();
    let text = "SELECT m.name, c.name, c.type, c.\"notnull\", c.pk FROM sqlite_master m JOIN pragma_table_info(m.name) c \
                WHERE m.type = 'table'";
    let mut statement = connection.prepare(text).unwrap();
    let rows = statement.query_map([], |row| {
        let kind: String = row.get(2)?;
        let nullable: bool = row.get::<_, i64>(3)? == 0;
        Ok((row.get(0)?, row.get(1)?, kind, nullable, row.get(4)?))
    });
    let columns = rows.unwrap().map(Result::unwrap);
    let indexes = "SELECT tbl_name, name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL";
    let mut statement = connection.prepare(indexes).unwrap();
    let indexes = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, "index".to_owned(), false, 0)));
    columns.chain(indexes.unwrap().map(Result::unwrap)).collect()
}

async fn of_postgres(stand: &Stand) -> Columns {
    let url = match stand {
        Stand::Postgres(server) => server.url(),
        Stand::Foreign { url, .. } => url.clone(),
        Stand::Sqlite(_) => panic!("not PostgreSQL"),
    };
    let config = tokio_postgres::Config::from_str(&url).unwrap();
    let (client, connection) = config.connect(tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let text = "SELECT c.table_name::text, c.column_name::text, c.data_type::text, c.is_nullable = 'YES', \
                COALESCE((SELECT k.ordinal_position::bigint FROM information_schema.key_column_usage k \
                JOIN information_schema.table_constraints t USING (constraint_schema, constraint_name) \
                WHERE t.constraint_type = 'PRIMARY KEY' AND k.table_name = c.table_name \
                AND k.column_name = c.column_name), 0) \
                FROM information_schema.columns c WHERE c.table_schema = 'public'";
    let rows = client.query(text, &[]).await.unwrap();
    let text = "SELECT tablename::text, indexname::text FROM pg_indexes WHERE schemaname = 'public' \
                AND indexname NOT LIKE '%_pkey'";
    let indexes = client.query(text, &[]).await.unwrap();
    let indexes = indexes.iter().map(|row| (row.get(0), row.get(1), "index".to_owned(), false, 0));
    rows.iter()
        .map(|row| {
            let kind = match row.get::<_, String>(2).as_str() {
                "bigint" => "INTEGER".to_owned(),
                "bytea" => "BLOB".to_owned(),
                other => other.to_uppercase(),
            };
            (row.get(0), row.get(1), kind, row.get(3), row.get(4))
        })
        .chain(indexes)
        .collect()
}

#[tokio::test]
async fn both_have_the_same_schema() {
    let (sqlite, postgres) = (Stand::sqlite(), Stand::postgres().await);
    drop((sqlite.open().await, postgres.open().await));
    let Place::Sqlite(path) = sqlite.place() else { panic!("not SQLite") };
    let (ours, theirs) = (of_sqlite(&path), of_postgres(&postgres).await);
    assert!(ours.len() > 25, "{ours:?}");
    assert_eq!(ours, theirs);
    postgres.finish().await;
}

#[tokio::test]
async fn the_schema_of_a_later_version_is_left_alone() {
    let stand = Stand::sqlite();
    stand.open().await.close().await;
    let Place::Sqlite(path) = stand.place() else { panic!("not SQLite") };
    Connection::open(&path).unwrap().execute("INSERT INTO portolan_schema VALUES (99, 0)", []).unwrap();
    let fault = Store::open(&stand.place(), Settings::default()).await.unwrap_err();
    assert!(matches!(&fault, StoreFault::Broken(why) if why.contains("99")), "{fault}");
}

#[tokio::test]
async fn what_is_no_store_is_refused_and_left_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notes.txt");
    let text =
        "my notes, which are longer than the head of a database file, and must not be lost. ".repeat(9);
    std::fs::write(&path, &text).unwrap();
    let fault = Store::open(&Place::Sqlite(path.clone()), Settings::default()).await.unwrap_err();
    assert!(matches!(&fault, StoreFault::Broken(why) if why.contains("notes.txt")), "{fault}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    let nowhere = Place::Sqlite(dir.path().join("no/store.db"));
    assert!(matches!(Store::open(&nowhere, Settings::default()).await, Err(StoreFault::Refused(_))));
    let made = dir.path().join("store.db");
    Store::open(&Place::Sqlite(made.clone()), Settings::default()).await.unwrap();
    for name in ["store.db", "store.db-wal"] {
        let mode = std::fs::metadata(dir.path().join(name)).map(|found| found.permissions().mode() & 0o777);
        assert_eq!(mode.unwrap_or(0o600), 0o600, "{name}");
    }
}
