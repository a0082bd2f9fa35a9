//! The flows of one replica, wired together and running, without any socket.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::leading::{Job, begin};
use crate::domain::MemberId;
use crate::flows::{
    Ageing, Alerts, Answerer, Assessor, Book, Cosigning, Desk, Eraser, Fishing, FlowError,
    Follower, Gossip, GossipParts, Home, Ledger, LightShelf, LogTree, Mirrors, NoticeFollower,
    Opener, OpeningRequests, Others, OwnFeeds, OwnKeys, PeerKeys, Portfolio, Publisher,
    PublisherTask, Reconciler, Reports, Revisions, Samples, Standings, Watch, WatchSettings,
    Webhook, WebhookTarget, Witness,
};

use crate::store::{Scan, Table};

/// One replica's flows and the tasks behind them; dropping it ends the tasks.
#[derive(Debug)]
pub struct Core {
    /// This node's own side of everything.
    pub home: Arc<Home>,
    /// The lender's desk.
    pub desk: Desk,
    /// The answering side.
    pub answerer: Arc<Answerer>,
    /// Mirrors of peers' feeds.
    pub mirrors: Arc<Mirrors>,
    /// What keeps mirrors current.
    pub follower: Follower,
    /// The way to the publishing task.
    pub publisher: Publisher,
    /// This node's own OPRF keys.
    pub keys: Arc<OwnKeys>,
    /// Peers' OPRF keys, as they stated them.
    pub peer_keys: Arc<PeerKeys>,
    /// The watch list and what recognises its borrowers.
    pub watch: Watch,
    /// What follows for the customers on the watch list.
    pub portfolio: Arc<Portfolio>,
    /// What looks like fishing.
    pub fishing: Fishing,
    /// What opens queries to auditors.
    pub opener: Opener,
    /// Samples that this auditor has opened.
    pub samples: Samples,
    /// Samples that auditors want of this node.
    pub requests: OpeningRequests,
    /// What compares this node's log with peers'.
    pub reconciler: Reconciler,
    /// What goes with age.
    pub ageing: Ageing,
    /// What erases borrowers.
    pub eraser: Eraser,
    /// What borrowers are told.
    pub reports: Reports,
    /// The alerts that follow.
    pub alerts: Arc<Alerts>,
    /// How far peers are believed.
    pub standings: Arc<Standings>,
    /// This node as a witness of its peers' audit logs.
    pub witness: Arc<Witness>,
    /// What gets this node's audit log cosigned.
    pub cosigning: Arc<Cosigning>,
    /// What compares checkpoints with peers.
    pub gossip: Arc<Gossip>,
    /// Which answers changed after they were given.
    pub revisions: Arc<Revisions>,
    /// What this replica does once it leads.
    jobs: Vec<Job>,
    tasks: JoinSet<()>,
}

/// A job that begins with a clone of what it takes.
fn again<T, F>(what: &T, run: fn(T) -> F) -> Job
where
    T: Clone + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let what = what.clone();
    Job::of(move || run(what.clone()))
}

impl Core {
    /// Wires the flows over `home` and starts publishing and logging. Nothing follows peers yet.
    #[must_use]
    pub fn start(home: Arc<Home>) -> Self {
        Self::start_watching(home, WatchSettings::default())
    }

    /// As [`Self::start`], with what a configuration says of the watch.
    #[must_use]
    pub fn start_watching(home: Arc<Home>, settings: WatchSettings) -> Self {
        let mut tasks = JoinSet::new();
        let tree = Arc::new(LogTree::of_audit(home.clone()));
        let book = Book::new(home.vault.clone());
        let keys = Arc::new(OwnKeys::new(Arc::clone(&home)));
        let feeds = Arc::new(OwnFeeds::new(Arc::clone(&home)));
        let mirrors = Arc::new(Mirrors::new(Arc::clone(&home)));
        let peer_keys = Arc::new(PeerKeys::new(Arc::clone(&home)));
        let alerts = Arc::new(Alerts::new(Arc::clone(&home), settings.posts));
        let revisions = Arc::new(Revisions::new(Arc::clone(&home), Arc::clone(&alerts)));
        let (ledger, ledger_task) = Ledger::new(Arc::clone(&home));
        tasks.spawn(ledger_task);
        let (publisher, publishing) =
            PublisherTask::new(home.clone(), book.clone(), keys.clone(), feeds.clone());
        tasks.spawn(publishing.run());
        let answerer = Answerer::new(
            Arc::clone(&home),
            Arc::clone(&keys),
            Arc::clone(&feeds),
            ledger.clone(),
            publisher.clone(),
        );
        let standings = Arc::new(Standings::new(Arc::clone(&home), book.clone()));
        let assessor = Assessor::new(
            Arc::clone(&home),
            (book.clone(), ledger.clone()),
            (Arc::clone(&peer_keys), Arc::clone(&mirrors)),
            (Arc::clone(&standings), Arc::clone(&revisions)),
        );
        let opener = Opener::new(home.clone(), ledger.clone(), tree.clone());
        let watch = Watch::new(
            (Arc::clone(&home), book.clone()),
            (Arc::clone(&peer_keys), Arc::clone(&mirrors)),
            ledger.clone(),
            Arc::clone(&alerts),
            settings,
        );
        let reconciler = Reconciler::new(home.clone(), assessor.clone());
        let (own, made) = ((home.clone(), book.clone()), (keys.clone(), feeds.clone()));
        let ageing = Ageing::new(own, made, mirrors.clone(), revisions.clone());
        let desk = Desk::new(Arc::clone(&home), book, publisher.clone(), assessor);
        let (reports, eraser, portfolio) = about_borrowers(&desk, ledger, &watch, &standings);
        let (witness, cosigning, gossip) = checking_each_other(&home, (&mirrors, tree), feeds);
        Self {
            samples: Samples::new(Arc::clone(&home)),
            fishing: Fishing::new(home.clone(), desk.book().clone(), mirrors.clone()),
            requests: OpeningRequests::new(Arc::clone(&home), opener.clone()),
            follower: Follower::new(home.clone(), peer_keys.clone(), mirrors.clone()),
            home,
            desk,
            answerer: Arc::new(answerer),
            mirrors,
            publisher,
            keys,
            peer_keys,
            watch,
            portfolio,
            opener,
            reconciler,
            ageing,
            eraser,
            reports,
            alerts,
            standings,
            witness,
            cosigning,
            gossip,
            revisions,
            jobs: Vec::new(),
            tasks,
        }
    }

    /// Starts following every peer's feeds and notices, looking for watched borrowers in them,
    /// deleting records whose terms are over and what is old, and judging whether queries look
    /// like fishing. Of several replicas one does all this; each keeps in step with the others.
    pub fn follow_peers(&mut self) {
        let mut jobs = std::mem::take(&mut self.jobs);
        let (home, revisions) = (Arc::clone(&self.home), Arc::clone(&self.revisions));
        jobs.push(Job::of(move || {
            NoticeFollower::new(Arc::clone(&home), Arc::clone(&revisions)).run()
        }));
        let (follower, watch, desk) = (&self.follower, &self.watch, &self.desk);
        jobs.push(again(follower, Follower::run));
        jobs.push(again(watch, Watch::look));
        jobs.push(again(watch, Watch::evaluate));
        jobs.push(again(watch, Watch::keep_to_customers));
        jobs.push(again(desk, Desk::keep_terms));
        jobs.push(again(&self.ageing, Ageing::run));
        jobs.push(again(self.answerer.light(), LightShelf::run));
        jobs.push(again(&self.standings, Standings::run));
        jobs.push(again(&self.fishing, Fishing::run));
        jobs.push(again(&self.samples, Samples::run));
        jobs.push(again(&self.requests, OpeningRequests::run));
        jobs.push(again(&self.cosigning, Cosigning::run));
        jobs.push(again(&self.gossip, Gossip::run));
        let replicas = self.home.vault.replicas().clone();
        begin(jobs, replicas, &mut self.tasks);
        self.tasks.spawn(self.others().keep_in_step());
    }

    fn others(&self) -> Others {
        Others {
            home: Arc::clone(&self.home),
            feeds: Arc::clone(self.answerer.feeds()),
            mirrors: Arc::clone(&self.mirrors),
            alerts: Arc::clone(&self.alerts),
            standings: Arc::clone(&self.standings),
            keys: Arc::clone(&self.keys),
        }
    }

    /// Posts alerts there, once peers are followed.
    pub fn post_alerts(&mut self, target: WebhookTarget) {
        let webhook = Webhook::new(Arc::clone(&self.alerts), target);
        self.jobs.push(again(&webhook, Webhook::run));
    }

    /// Whether this node holds a whole mirror of each of these members, in every live epoch, and
    /// has nothing left to publish.
    ///
    /// # Errors
    /// [`FlowError::Store`] where a mirror cannot be read.
    pub async fn mirrors_all(&self, members: &[MemberId]) -> Result<bool, FlowError> {
        let home = &self.home;
        let page = home.vault.scan(Table::Unpublished, &Scan::all(1)).await?;
        let mut whole = page.is_empty();
        for member in members {
            for epoch in home.calendar.served(home.clock.now()) {
                let reach = self
                    .mirrors
                    .of(member, home.level(), epoch)?
                    .reach()
                    .await?;
                whole &= reach.size > 0 && reach.size >= reach.checkpoint_size;
            }
        }
        Ok(whole)
    }

    /// Ends every task; what was acknowledged is durable.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
    }
}

/// What is told to borrowers and of them, and what erases them.
fn about_borrowers(
    desk: &Desk,
    ledger: Ledger,
    watch: &Watch,
    standings: &Arc<Standings>,
) -> (Reports, Eraser, Arc<Portfolio>) {
    let reports = Reports::new(desk.clone(), ledger.clone(), watch.clone());
    let eraser = Eraser::new(desk.clone(), ledger, watch.clone());
    let portfolio = Portfolio::new(desk.clone(), Arc::clone(standings), watch.clone());
    (reports, eraser, Arc::new(portfolio))
}

/// What checks this node's logs and those of its peers against each other.
fn checking_each_other(
    home: &Arc<Home>,
    (mirrors, tree): (&Arc<Mirrors>, Arc<LogTree>),
    feeds: Arc<OwnFeeds>,
) -> (Arc<Witness>, Arc<Cosigning>, Arc<Gossip>) {
    let forks = Arc::clone(mirrors.forks());
    let witness = Arc::new(Witness::new(Arc::clone(home), forks, Arc::clone(&tree)));
    let cosigning = Arc::new(Cosigning::new(Arc::clone(home), tree));
    let gossip = Arc::new(Gossip::new(GossipParts {
        home: Arc::clone(home),
        mirrors: Arc::clone(mirrors),
        feeds,
        witness: Arc::clone(&witness),
    }));
    (witness, cosigning, gossip)
}
