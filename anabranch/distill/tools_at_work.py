"""Tools that agents have at work and that answer no sub-question of the data: names, and what they say of themselves.

A block a kind: `kind | names`, then a description a line.
"""

BLOCKS = """
sql | sql, query_database, warehouse, orders_db, db.query, runSql, postgres-query, shop_database
Queries the company's sales database.
Runs a question against the orders table.
Looks up customers, orders and invoices in the database.
Use this tool to query our shop's PostgreSQL tables: orders, customers, stock levels.
Read-only SQL access to the sales warehouse of this company
How many orders, which customers, what turnover: asks the shop's own database.

email | email, send_email, mail, outbox, gmail.send, SendMessage, compose-mail, mailbox_write
Sends an e-mail.
Writes to someone by e-mail.
Sends a message to an address.
Use this tool to compose and send an email to one or more recipients, with an optional subject and attachments.
E-mail delivery through the user's own account
Drafts an e-mail and sends it off after the user has agreed.

calendar | calendar, events, agenda, calendar_search, my_schedule, google.calendar, listEvents, day-planner
Lists the user's appointments.
Looks into the calendar of a day.
Finds meetings in the calendar.
Use this tool to see which events are on the user's calendar between two dates.
Read access to the user's Google Calendar
What the user has on for a day: meetings, birthdays, trips.

inbox | search_inbox, inbox.find, listMail, unread-mail, imap_reader
Searches the user's own inbox by sender, subject or label.
Use this tool to list unread e-mails and open the newest thread.
Unread mail of the signed-in account
Marks conversations as read or moves them to a folder.

support_ticket | create_ticket, openTicket, helpdesk.new, zendesk-ticket, raise_request, Supportly
Opens a support ticket for the help desk.
Use this tool to file a new customer support request with a title, a priority and a description.
Ticket creation in the service desk
Hands a complaint over to a human agent and returns the ticket's number.

ticket_status | ticket_status, helpdesk.status, getTicket, my-tickets, track_request
Shows how far a support ticket has got.
Status, assignee and last comment of a help desk ticket.
Use this when a customer wants to know what became of a complaint they filed.

crm_contact | crm_update, hubspot.contacts, salesforce, upsertLead, lead-manager, PipelinePro
Adds a lead to the sales pipeline.
Use this tool to create or update a contact in HubSpot, including phone number and stage of the deal.
Customer relationship records: create, update, merge
Changes the stage of a deal and leaves a note for the sales team.

github_issue | create_issue, github.issues.create, fileBug, gh-issue, issue_tracker
Opens an issue in a GitHub repository.
Use this tool to create a new issue with a title, a body, labels and assignees in the given repository.
Bug reports for our repositories
Lists open issues and closes those that are done.

pull_request | list_prs, github.pulls, mergeRequest, pr-review, open_pull_request
Lists the open pull requests of a repository.
Creates a pull request from a branch and asks reviewers to look at it.
Use this tool to comment on, approve or merge a pull request.
Code review actions on GitHub

git | git, git_commit, repo.commit, gitTool, version-control, checkout_branch
Commits the changed files to the current branch.
Shows the diff of the working tree.
Use this tool to run git operations such as status, add, commit, checkout and push inside the workspace.
Version control of the project folder

deploy | deploy, release.start, deployService, ship-it, rollout, vercel_deploy
Deploys a service to production.
Starts a release of the given version in the chosen environment.
Use this tool to trigger a deployment pipeline, wait for it and report whether it went through.
Rolls a service back to the version before.

ci_build | run_pipeline, ci.status, buildStatus, jenkins-job, test_runner
Starts the build of a branch on the CI server.
Status of the last pipeline and the log of the failed job
Use this tool to re-run failing checks of a commit.
Runs the unit tests of the repository and reports failures.

docker | docker, container.list, dockerCtl, start-container, compose_up
Lists running containers.
Starts, stops or restarts a Docker container by name.
Use this tool to manage containers, images and volumes on the local Docker daemon.
Container management

kubernetes | kubectl, k8s.pods, scaleDeployment, cluster-admin, pod_restart
Restarts the pods of a deployment in the cluster.
Kubernetes cluster access: list pods, scale deployments, read events
Use this tool to scale a workload up or down in the given namespace.

terminal | terminal, shell.open, sshSession, remote-console, maintenance_shell
Opens an SSH session to one of the company's servers.
Runs an approved maintenance command on the build machine.
Use this tool to restart system services and install packages on a remote host.
Remote shell for administrators

logs | read_logs, logs.tail, logSearch, kibana-view, journal_tail
Shows the last lines of a service's log.
Searches application logs for errors in a time window.
Use this tool to find stack traces of crashed services in Elasticsearch.
Server log viewer

metrics | metrics, grafana.panel, queryPrometheus, uptime-dashboard, latency_graph
Charts the CPU load and memory of a server.
Use this tool to query Prometheus time series such as request latency and error rate of our services.
Monitoring dashboards of the infrastructure
Shows how long a service was down this month.

alerting | page_oncall, pagerduty.trigger, incidentOpen, on-call, alert_silencer
Pages the engineer on call.
Opens an incident, informs the team and starts a bridge call.
Use this tool to acknowledge or silence an alert for a while.

dns | dns_lookup, resolve.host, dnsRecords, whois-query, nameserver_tool
Resolves a host name to its IP address.
DNS records (A, MX, TXT) of a domain
Use this tool to check to whom an internet domain is registered.

ping | ping, net.ping, checkHost, port-scan, traceroute_host
Checks whether a server can be reached over the network.
Sends ICMP packets to a host and reports lost ones.
Use this tool to trace the route that packets take to an address.
Network diagnostics

ssl_check | ssl_check, cert.expiry, verifyCertificate, tls-inspector
Tells when a web site's TLS certificate expires.
Inspects the certificate chain of a host.
Use this tool to renew certificates with Let's Encrypt.

cloud_storage | upload_file, s3.put, driveUpload, bucket-sync, DropSync
Uploads a file to the cloud bucket.
Use this tool to copy objects between storage buckets, or to make a download link that expires.
Cloud storage: upload, share, delete
Shares a file from Google Drive with a colleague.

backup | run_backup, backup.start, snapshotVolume, nightly-backup
Starts a backup of the server.
Restores a snapshot of a disk.
Use this tool to schedule nightly copies of a database to another region.

files | list_files, file_finder, open_file, fs.read, ReadFile, workspace-files
Lists files by name.
Opens a file on this computer.
Use this tool to read, move or rename files inside the allowed directories of the workspace.
Local file system access
Writes a text to a file in the project.

archive_files | zip_files, unzip, compressFolder, make-tarball
Packs files into a ZIP archive.
Unpacks an archive into a directory.
Use this tool to compress a folder before it is sent.

pdf | pdf_tools, pdf.merge, splitPdf, pdf-rotate, PaperPress
Merges several PDF files into one.
Use this tool to split, rotate or watermark the pages of a PDF document.
Turns a Word document into a PDF.
Page layout of PDFs

ocr | ocr, scan_text, vision.ocr, readReceipt, image-to-text
Reads the text off a scanned page.
Extracts printed or handwritten text from an uploaded photo.
Use this tool when the user uploads a scan and wants its text as a file.
Optical character recognition for receipts

slides | make_slides, slides.create, buildDeck, powerpoint-export, DeckSmith
Makes a slide deck from an outline.
Use this tool to add slides, change themes and export a presentation as PPTX.
Presentation builder
Puts a picture and a caption on a new slide.

spreadsheet_export | export_sheet, sheets.append, csvExport, to-excel, save_table
Saves a table as an Excel file.
Appends a row to a Google Sheet.
Use this tool to export the current view to CSV and hand back a download link.
Spreadsheet export

document_editor | edit_document, docs.create, wordDoc, doc-template, draft_letter
Creates a Google Doc with a title and a body.
Fills in a letter template with the recipient's name.
Use this tool to insert a comment at a place in the shared document.
Text documents: create, format, share

signature | request_signature, docusign.send, eSign, sign-contract
Sends a contract out for signature.
Use this tool to see who has not signed a document yet.
Electronic signatures

form | create_form, forms.publish, surveyMaker, feedback-form
Publishes a feedback form and returns its link.
Creates a questionnaire with multiple-choice questions.
Use this tool to collect sign-ups for an event.

poll | start_poll, poll.open, voteNow, quick-poll, Doodler
Starts a poll in the channel.
Use this tool to let a group vote on a date for a meeting.
Opens or closes a vote among the members of a team

chat_message | post_message, slack.post, teamsNotify, channel-message, send_dm
Posts a message in a Slack channel.
Sends a direct message to a colleague on Teams.
Use this tool to notify a channel, optionally mentioning people and attaching a file.
Team chat

sms | send_sms, twilio.sms, textMessage, sms-gateway
Sends a text message to a mobile phone.
Use this tool to send an SMS of at most 160 characters.
SMS gateway for notifications to customers

phone_call | call_phone, voice.dial, makeCall, dialer
Dials a telephone number.
Places a call and leaves a voice message.
Use this tool to connect the caller with a human operator.

video_meeting | start_meeting, zoom.create, meetLink, video-call
Starts a video conference and returns the link to join.
Use this tool to schedule a Zoom meeting, invite people and set a waiting room.
Video calls with colleagues

meeting_room | book_room, rooms.reserve, findRoom, meeting-room
Reserves a meeting room in the office.
Use this tool to find a free room with a projector for a given hour.
Room bookings on the third floor

meeting_notes | summarize_meeting, notes.minutes, meetingMinutes, call-recap
Writes the minutes of a recorded meeting.
Turns a meeting's recording into action items for the participants.
Use this tool after a call has ended, to share a recap with everybody.

transcribe | transcribe, speech.to_text, whisperTool, audio-transcript
Turns speech in an audio file into text.
Use this tool to transcribe voice memos and podcasts, with time stamps for each speaker.
Speech recognition
Makes subtitles for a recording.

speak | speak, tts.say, readAloud, voice-output, text_to_speech
Reads a text aloud.
Turns text into an MP3 with a natural voice.
Use this tool to announce something over the loudspeakers.

invoice | create_invoice, billing.invoice, issueInvoice, invoice-sender, stripe_invoice
Issues an invoice to a customer.
Sends a customer the bill for a delivery.
Use this tool to create a draft invoice in the accounting system, with line items, due date and address.
Invoices: create, send, void

payment | pay, payments.charge, makePayment, stripe-charge, bank_transfer, PayLink
Transfers money to an account.
Charges the customer's credit card.
Use this tool to send a payment to a supplier after two people have approved it.
Payment processing

refund | refund, payments.refund, issueRefund, return-money
Gives a customer the money back for a returned article.
Use this tool to refund a card payment in full or in part.
Refunds for cancelled orders

expenses | file_expense, expenses.submit, expenseReport, receipts-upload
Files an expense claim with a receipt.
Submits the travel costs of an employee for approval.
Use this tool to see whether an expense report has been approved.

payroll | payroll, hr.payslip, getPayslip, salary-run
Downloads an employee's payslip.
Starts the monthly salary run.
Use this tool to change the bank account that wages are paid to.

leave_request | request_leave, hr.vacation, timeOff, absence-form
Requests days off for an employee.
Use this tool to hand in holidays or sick days to the manager.
Absence management

recruiting | candidates, ats.applicants, reviewApplicant, hiring-board
Moves an applicant to the next round.
Use this tool to invite a candidate to a job interview and to send a rejection.
Applicant tracking

staff_directory | staff_directory, people.lookup, findColleague, org-chart
Gives the desk and the phone extension of a colleague.
Our employees' internal contact details, for authorised staff
Use this tool to see who reports to whom in this company.

project_board | kanban, jira.move, trelloCard, sprint-board, move_card
Moves a card on the Kanban board.
Use this tool to create Jira stories, assign them and put them into a sprint.
Project board of the team
Lists who works on which story in this sprint.

time_tracking | track_time, toggl.start, clockIn, timesheet
Starts the stop clock for a project.
Use this tool to log working hours on a customer's project.
Clocks an employee in or out

wiki_edit | edit_wiki, confluence.update, publishPage, handbook-editor
Changes a page of the team's handbook.
Use this tool to publish a new page in Confluence, under a given parent page.
Writes documentation pages for our engineers

newsletter | send_newsletter, mailchimp.campaign, campaignSend, bulk-mail
Sends the newsletter to all subscribers.
Use this tool to schedule an e-mail campaign for a segment of the audience.
Marketing campaigns

social_post | post_tweet, social.publish, linkedinPost, share-online, Postly
Publishes a post on the company's social media.
Use this tool to schedule a post with a picture on LinkedIn, Instagram or X.
Replies to comments under our posts.

ad_campaign | ads_manager, ads.pause, boostPost, ad-budget
Pauses or restarts an advertising campaign.
Use this tool to change the daily budget and audience of an online ad.
Ad management on Google and Meta

web_analytics | site_stats, analytics.visits, pageViews, visitor-report
Shows how many people visited our web site.
Use this tool to pull visitor reports of the company's own pages from Google Analytics.
Clicks, visitors and bounce rate of the shop's pages

screenshot | screenshot, browser.capture, takeScreenshot, page-shot
Takes a picture of the screen.
Captures a web page as a PNG.
Use this tool to show the user how a page looks at the moment, as an image file.

browser_click | click, browser.click, fillForm, ui-automation, press_button
Clicks on a button of the page that is open.
Fills in a form field in the browser.
Use this tool to scroll, click and type in the browser window.
Browser automation: clicks and key strokes

clipboard | clipboard, copy.text, pasteBuffer, set-clipboard
Copies a text to the clipboard.
Pastes what was copied last.
Use this tool to put a text where the user can paste it.

password | make_password, vault.read, passwordManager, secret-store, KeyNest
Makes a strong password.
Reads a secret from the vault after a second factor.
Use this tool to store a login for a web site in the password manager.
Password manager

user_admin | create_user, iam.grant, resetPassword, access-rights
Creates an account for a new colleague.
Use this tool to grant or revoke a user's access to a system.
Resets a forgotten password and sends a link.

feature_flag | toggle_flag, flags.set, featureSwitch, launch-flag
Switches a feature on or off for some users.
Use this tool to change the roll-out share of a feature flag.
Feature flags of the app

code_format | format_code, lint.fix, prettierRun, style-check
Formats source files by the team's style.
Use this tool to lint a file and mend what can be mended.
Code formatter

dependency | add_package, npm.install, updateDeps, package-audit
Adds a library to the project's dependencies.
Use this tool to see which packages have known security holes.
Updates the lock file.

color_picker | color_palette, design.colors, paletteMaker, contrast-check
Suggests colours that go together for a web page.
Use this tool to check whether text can be read on a background.
Palette generator for designers

diagram | draw_diagram, mermaid.render, flowChart, uml-maker
Draws a flow chart from a description.
Use this tool to render Mermaid code as an SVG picture.
Diagrams for documents

qr_code | qr_code, qr.make, barcodeMaker, print-label
Makes a QR code for a link.
Use this tool to print a bar code label for a parcel.
QR and bar codes as pictures

url_shortener | shorten_url, bitly.create, shortLink, tiny-link
Makes a long web address short.
Use this tool to get a short link that can be printed on a flyer.
Short links with click statistics

printer | print_document, printer.queue, printNow, office-printer
Prints a document on the office printer.
Use this tool to see which jobs wait in the printer's queue.
Printer access

inventory_order | restock, suppliers.order, purchaseOrder, reorder-goods
Orders goods from a supplier.
Use this tool to create a purchase order when something in the warehouse runs low.
Procurement
"""
