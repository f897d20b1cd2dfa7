//! The dashboard's pages and forms over HTTP: who may see and send them, and what
//! they say. That a browser can use them is tested in `dashboard.rs` beside this.

mod access;
mod forms;

use reqwest::Response;
use reqwest::header::HeaderMap;

use super::*;

const PASSWORD: &str = "correct horse battery";

/// A recorder that has recorded a second among people with odd names.
const SHOWS: &str = r#"
[ "$4" = --salvage ] && exit 1
echo '{"event":"started","pid":'$$'}
{"event":"first_frame","t0":1000000000,"epoch_ms":1700000000120}
{"event":"peers","count":2,"peers":[{"id":"1","name":"<script>alert(1)</script>","role":"host"}]}
{"event":"stats","elapsed_s":65.0,"painted":29,"recorded":30,"repeated":3,"late":1,"superseded":2,"audio_dbfs":-21.5,"bytes":4096,"backlog":4}
{"event":"stats","elapsed_s":66.0,"painted":59,"recorded":60,"repeated":8,"late":1,"superseded":2,"audio_dbfs":-21.5,"bytes":4096,"backlog":4}' > "$3/journal.jsonl"
while [ -d "$3" ]; do sleep 0.05; done
"#;
/// One that fails with words of a page.
const COMPLAINS: &str = r#"
echo '{"event":"failed","kind":"MAX_RETRIES_REACHED","message":"the page said <img src=x onerror=alert(2)>"}' > "$3/journal.jsonl"
"#;

/// Somebody with a browser, as far as HTTP goes.
struct Visitor<'a> {
    api: &'a Api,
    client: reqwest::Client,
    cookie: Option<String>,
}

/// A page and what came with it.
struct Page {
    status: u16,
    headers: HeaderMap,
    text: String,
}

impl Page {
    async fn of(response: Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self { status, headers, text: response.text().await.unwrap() }
    }

    /// What its forms carry.
    fn token(&self) -> &str {
        let (_, after) = self.text.split_once("name=\"token\" value=\"").expect("a form");
        after.split('"').next().unwrap()
    }

    fn location(&self) -> &str {
        assert_eq!(self.status, 303, "{}", self.text);
        self.headers["location"].to_str().unwrap()
    }
}

impl<'a> Visitor<'a> {
    fn to(api: &'a Api) -> Self {
        let policy = reqwest::redirect::Policy::none();
        let client = reqwest::Client::builder().no_proxy().redirect(policy).build().unwrap();
        Self { api, client, cookie: None }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("http://{}{path}", self.api.address);
        let request = self.client.request(method, url);
        match &self.cookie {
            Some(cookie) => request.header(header::COOKIE, cookie),
            None => request,
        }
    }

    async fn get(&self, path: &str) -> Page {
        Page::of(self.request(Method::GET, path).send().await.unwrap()).await
    }

    fn origin(&self) -> String {
        format!("http://{}", self.api.address)
    }

    /// A form as a page of ours sends it.
    async fn send(&self, path: &str, token: &str, fields: &[(&str, &str)]) -> Page {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("token", token)
            .extend_pairs(fields)
            .finish();
        let request = self.request(Method::POST, path).header(header::ORIGIN, self.origin());
        let request = request.header("sec-fetch-site", "same-origin");
        let request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        Page::of(request.body(body).send().await.unwrap()).await
    }

    /// Signs in with `secret`; the answer.
    async fn sign_in(&mut self, secret: &str) -> Page {
        let form = self.get("/sign-in").await;
        let token = form.token().to_owned();
        let answer = self.send("/sign-in", &token, &[("secret", secret)]).await;
        if let Some(cookie) = answer.headers.get(header::SET_COOKIE) {
            self.cookie = Some(cookie.to_str().unwrap().split(';').next().unwrap().to_owned());
        }
        answer
    }

    /// Asks for a page until it says `text`; the limit ends a broken test.
    async fn until(&self, path: &str, text: &str) -> Page {
        for _ in 0..1200 {
            let page = self.get(path).await;
            if page.text.contains(text) {
                return page;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{path} never said {text}: {}", self.get(path).await.text);
    }
}

/// Every page that can be read.
const PAGES: [&str; 4] = ["/", "/deliveries", "/storage", "/node"];
/// Every form.
const FORMS: [&str; 8] = [
    "/start",
    "/recordings/000000000000000000000000/stop",
    "/recordings/000000000000000000000000/pause",
    "/recordings/000000000000000000000000/resume",
    "/recordings/000000000000000000000000/upload",
    "/deliveries/replay",
    "/storage",
    "/sign-out",
];
