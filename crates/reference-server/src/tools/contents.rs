//! Each kind of content that a tool can return.

use crate::tool::{Content, Stop, Tool, audio_block, image_block, resource_block, text_block};

pub(super) const TOOLS: &[Tool] = &[
    Tool::new("test_simple_text", "Returns a line of text", |_| {
        Box::pin(async { Ok(Content::text("This is a simple text response for testing.")) })
    }),
    Tool::new("test_image_content", "Returns a picture", |_| {
        Box::pin(async { Ok(blocks(vec![image_block()])) })
    }),
    Tool::new("test_audio_content", "Returns a sound", |_| {
        Box::pin(async { Ok(blocks(vec![audio_block()])) })
    }),
    Tool::new("test_embedded_resource", "Returns an embedded resource", |_| {
        Box::pin(async {
            let text = "This is an embedded resource content.";
            Ok(blocks(vec![resource_block("test://embedded-resource", "text/plain", text)]))
        })
    }),
    Tool::new("test_multiple_content_types", "Returns a text, a picture and a resource", |_| {
        Box::pin(async {
            let data = r#"{"test":"data","value":123}"#;
            Ok(blocks(vec![
                text_block("Multiple content types test:"),
                image_block(),
                resource_block("test://mixed-content-resource", "application/json", data),
            ]))
        })
    }),
    Tool::new("test_error_handling", "Always fails", |_| {
        Box::pin(async {
            Err(Stop::Failed("This tool intentionally returns an error for testing".to_owned()))
        })
    }),
];

fn blocks(blocks: Vec<String>) -> Content {
    Content { blocks, structured: None }
}
