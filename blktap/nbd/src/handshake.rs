//! From the greeting to a session: fixed newstyle negotiation. Holds no bytes; whoever has the socket keeps what is not yet
//! taken, which is never more than [`Handshake::MAX_BYTES`].

use std::mem::size_of;

use bitflags::bitflags;
use zerocopy::{FromBytes, IntoBytes};

use crate::export::Export;
use crate::option::{self, ContextRequest, InfoRequest, Refused, Reply, put, reply};
use crate::session::{Form, Session};
use crate::wire::{BlockSizes, ExportInfo, GREETING_MAGIC, Greeting, OPTION_MAGIC, OptionHead};
use crate::{MAX_PAYLOAD_BYTES, Violation};

/// The only metadata context: which parts are holes, and which are zeros.
const ALLOCATION: &[u8] = b"base:allocation";
/// What asks for all contexts of its kind.
const BASE: &[u8] = b"base:";
pub(crate) const ALLOCATION_ID: u32 = 1;

const INFO_EXPORT: u16 = 0;
const INFO_NAME: u16 = 1;
const INFO_DESCRIPTION: u16 = 2;
const INFO_BLOCK_SIZE: u16 = 3;
/// After EXPORT_NAME, for clients that want them.
const ZEROES: [u8; 124] = [0; 124];

/// When there is so much to say, it is said before more options are answered.
const MAX_ANSWER_BYTES: usize = 64 << 10;

bitflags! {
    /// Of the greeting, and of what the client says to it: the same bits.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    struct Flags: u16 {
        const FIXED_NEWSTYLE = 1;
        const NO_ZEROES = 1 << 1;
    }
}

/// How a connection stands to TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    /// There is none.
    Off,
    /// Nothing is told before it.
    Required,
    /// It is in use.
    Active,
}

/// What comes after the bytes that were taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// More of the handshake.
    More,
    /// TLS, and in it more of the handshake: what the client sends from here on is no longer plain.
    StartTls,
    /// Requests.
    Transmission(Session),
    /// Nothing: the client is done. Answers that are left are sent, then the connection is closed.
    Close,
}

/// One client's way through the options.
#[derive(Clone, Debug)]
pub struct Handshake {
    export: Export,
    tls: Tls,
    client: Option<Flags>,
    form: Form,
    /// The export's name for which the context was set.
    context: Option<Vec<u8>>,
}

impl Handshake {
    /// The longest option that is taken, and its head.
    pub const MAX_BYTES: usize = (64 << 10) + size_of::<OptionHead>();

    /// For a client that has just connected.
    pub fn new(export: Export, tls: Tls) -> Self {
        Handshake { export, tls, client: None, form: Form::Simple, context: None }
    }

    /// Adds what is said first, before the client says anything.
    pub fn greet(&self, out: &mut Vec<u8>) {
        put(&Greeting { magic: GREETING_MAGIC, flags: Flags::all().bits().into() }, out);
    }

    /// Takes what the client sent, and adds answers. Returns how many of the bytes were taken; the others come again, with
    /// more, unless they are what comes next.
    ///
    /// # Errors
    ///
    /// [`Violation`]: the connection must be closed.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(usize, Next), Violation> {
        let (mut taken, begin) = (0, out.len());
        if self.client.is_none() {
            let Some((flags, _)) = bytes.split_first_chunk() else { return Ok((0, Next::More)) };
            self.client = Some(client_flags(u32::from_be_bytes(*flags))?);
            taken += flags.len();
        }
        loop {
            // Short options can have long answers.
            if out.len() - begin >= MAX_ANSWER_BYTES {
                return Ok((taken, Next::More));
            }
            let rest = &bytes[taken..];
            let Ok((head, rest)) = OptionHead::ref_from_prefix(rest) else { return Ok((taken, Next::More)) };
            if head.magic != OPTION_MAGIC {
                return Err(Violation::new(format!("no option: magic is {:#x}", head.magic)));
            }
            let (option, len) = (head.option.get(), head.len.get() as usize);
            if len > Handshake::MAX_BYTES - size_of::<OptionHead>() {
                return Err(Violation::new(format!("option {option} has {len} bytes")));
            }
            let Some(data) = rest.get(..len) else { return Ok((taken, Next::More)) };
            taken += size_of::<OptionHead>() + len;
            match self.answer(option, data, out)? {
                Next::More => {}
                next => return Ok((taken, next)),
            }
        }
    }

    fn answer(&mut self, option: u32, data: &[u8], out: &mut Vec<u8>) -> Result<Next, Violation> {
        if option == option::EXPORT_NAME {
            return self.export_name(data, out).map(Next::Transmission);
        }
        if !self.has(Flags::FIXED_NEWSTYLE) {
            return Err(Violation::new(format!("option {option} of a client that cannot read answers")));
        }
        let done = match option {
            option::ABORT => {
                reply(option, Reply::Ack, &[], out);
                return Ok(Next::Close);
            }
            option::STARTTLS => self.start_tls(data),
            _ if self.tls == Tls::Required => {
                Err(Refused { reply: Reply::TlsRequired, message: "nothing is told before TLS" })
            }
            option::LIST => self.list(data, out),
            option::INFO | option::GO => self.info(option, data, out),
            option::STRUCTURED_REPLY => self.structured(data),
            option::EXTENDED_HEADERS => no_data(data).map(|()| {
                self.form = Form::Extended;
                Next::More
            }),
            option::LIST_META_CONTEXT => list_contexts(data, out),
            option::SET_META_CONTEXT => self.set_context(data, out),
            _ => Err(Refused { reply: Reply::Unsupported, message: "unknown option" }),
        };
        match done {
            Ok(next) => {
                reply(option, Reply::Ack, &[], out);
                Ok(next)
            }
            Err(refused) => {
                reply(option, refused.reply, &[refused.message.as_bytes()], out);
                Ok(Next::More)
            }
        }
    }

    fn has(&self, flag: Flags) -> bool {
        self.client.is_some_and(|flags| flags.contains(flag))
    }

    fn export_name(&self, name: &[u8], out: &mut Vec<u8>) -> Result<Session, Violation> {
        // There is no way to answer this with an error.
        if self.tls == Tls::Required {
            return Err(Violation::new("EXPORT_NAME before TLS"));
        }
        if self.form == Form::Extended {
            return Err(Violation::new("EXPORT_NAME after EXTENDED_HEADERS"));
        }
        put(&self.export_info(), out);
        if !self.has(Flags::NO_ZEROES) {
            put(&ZEROES, out);
        }
        Ok(self.session(name))
    }

    fn session(&self, name: &[u8]) -> Session {
        let has_context = self.context.as_deref() == Some(name);
        Session::new(self.form, self.export.size_bytes, self.export.is_read_only, has_context)
    }

    fn export_info(&self) -> ExportInfo {
        let flags = self.export.flags(self.form != Form::Simple);
        ExportInfo { size: self.export.size_bytes.into(), flags: flags.bits().into() }
    }

    fn start_tls(&mut self, data: &[u8]) -> Result<Next, Refused> {
        no_data(data)?;
        match self.tls {
            Tls::Off => Err(Refused { reply: Reply::Unsupported, message: "there is no TLS" }),
            Tls::Active => Err(Refused::invalid("TLS is in use already")),
            Tls::Required => {
                // What was agreed in the open may be somebody else's wish.
                *self = Handshake { client: self.client, ..Handshake::new(self.export.clone(), Tls::Active) };
                Ok(Next::StartTls)
            }
        }
    }

    fn list(&self, data: &[u8], out: &mut Vec<u8>) -> Result<Next, Refused> {
        no_data(data)?;
        let name = self.export.name.as_bytes();
        let len = u32::try_from(name.len()).expect("names are short").to_be_bytes();
        reply(option::LIST, Reply::Server, &[&len, name, self.export.description.as_bytes()], out);
        Ok(Next::More)
    }

    fn info(&self, option: u32, data: &[u8], out: &mut Vec<u8>) -> Result<Next, Refused> {
        let request = InfoRequest::of(data)?;
        let mut info = |kind: u16, value: &[u8]| reply(option, Reply::Info, &[&kind.to_be_bytes(), value], out);
        info(INFO_EXPORT, self.export_info().as_bytes());
        // Each at most once, however often it is asked for.
        let mut items = request.items;
        items.sort_unstable();
        items.dedup();
        for item in items {
            match item {
                INFO_NAME => info(item, self.export.name.as_bytes()),
                INFO_DESCRIPTION => info(item, self.export.description.as_bytes()),
                INFO_BLOCK_SIZE => info(item, self.block_sizes().as_bytes()),
                _ => {}
            }
        }
        Ok(if option == option::GO { Next::Transmission(self.session(request.name)) } else { Next::More })
    }

    fn block_sizes(&self) -> BlockSizes {
        BlockSizes {
            minimum: 1.into(),
            preferred: self.export.preferred_bytes.into(),
            maximum_payload: MAX_PAYLOAD_BYTES.into(),
        }
    }

    fn structured(&mut self, data: &[u8]) -> Result<Next, Refused> {
        no_data(data)?;
        if self.form == Form::Extended {
            let message = "extended headers are in use already";
            return Err(Refused { reply: Reply::ExtendedHeadersRequired, message });
        }
        self.form = Form::Structured;
        Ok(Next::More)
    }

    fn set_context(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<Next, Refused> {
        // Also where this fails.
        self.context = None;
        if self.form == Form::Simple {
            return Err(Refused::invalid("STRUCTURED_REPLY comes first"));
        }
        let request = ContextRequest::of(data)?;
        if request.queries.contains(&ALLOCATION) {
            reply(option::SET_META_CONTEXT, Reply::MetaContext, &[&ALLOCATION_ID.to_be_bytes(), ALLOCATION], out);
            self.context = Some(request.name.to_owned());
        }
        Ok(Next::More)
    }
}

fn list_contexts(data: &[u8], out: &mut Vec<u8>) -> Result<Next, Refused> {
    let request = ContextRequest::of(data)?;
    if request.queries.is_empty() || request.queries.iter().any(|query| [BASE, ALLOCATION].contains(query)) {
        reply(option::LIST_META_CONTEXT, Reply::MetaContext, &[&[0; 4], ALLOCATION], out);
    }
    Ok(Next::More)
}

fn no_data(data: &[u8]) -> Result<(), Refused> {
    if data.is_empty() { Ok(()) } else { Err(Refused::invalid("this option has no data")) }
}

fn client_flags(flags: u32) -> Result<Flags, Violation> {
    let known = u16::try_from(flags).ok().and_then(Flags::from_bits);
    known.ok_or_else(|| Violation::new(format!("client has unknown flags: {flags:#x}")))
}
