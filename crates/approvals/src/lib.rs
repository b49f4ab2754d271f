//! What people are asked to approve before it is done: how they are asked, and what they have answered.
//!
//! Policies say that something is to be approved ([`auth::Asked`]); the store keeps the question ([`store::approvals`]). Here it
//! becomes a form for the caller, or a page for somebody else. Reading order: [`question`], [`people`] (who may answer), [`form`]
//! (what a client is asked, and says), [`visit`] and [`page`] (somebody in a browser); `text` is what they all show.
//!
//! All of it shows what others have written, who may want it to look like something else.

pub mod form;
pub mod page;
pub mod people;
pub mod question;
mod text;
pub mod visit;

pub use self::text::laid_out;
