package explain

// mobileJob is a kind of work in which codes of MobileDevice come up that say
// nothing about the connection or trust. People meet them all the same, and the
// most useful thing to know is that.
type mobileJob struct {
	failed string // what failed, in front of the cause
	remedy string
	causes []mobileCause
}

// mobileCause is one of its codes, named and numbered as in mobileDevice.
type mobileCause struct {
	code uint32
	name string
	what string // goes on after "failed: "
}

// meaning of a code of the job.
func (j mobileJob) meaning(c mobileCause) string {
	return j.failed + " failed: " + c.what + ". The connection to the device works, and so does trust."
}

// mobileJobs has those codes whose number and name several public lists agree on.
var mobileJobs = []mobileJob{
	{"Updating the device", "Load the update again and repeat it, with the device plugged into a port of the computer itself.", []mobileCause{
		{0x29, "SUVerificationError", "the update could not be verified"},
		{0x2A, "SUPatchError", "a file could not be patched"},
		{0x2B, "SUFirmwareError", "the firmware could not be written"},
	}},
	{"Mounting a developer image", wantImage, []mobileCause{
		{0x2F, "MissingOptionsError", "the request lacked its options"},
		{0x30, "MissingImageTypeError", "the request did not say what kind of image it brings"},
		{0x31, "DigestFailedError", "the image could not be read"},
		{0x33, "InvalidDiskImageError", "the image is not one that the device can use"},
		{0x34, "MissingDigestError", "the checksum of the image is missing"},
		{0x6D, "MobileImageMounterMissingImageSignature", "the signature of the image is missing"},
		{0x6E, "MobileImageMounterResponseCreationFailed", "the device could not make its answer"},
		{0x6F, "MobileImageMounterMissingImageType", "the request did not say what kind of image it brings"},
		{0x70, "MobileImageMounterMissingImagePath", "the request did not say where the image is"},
		{0x71, "MobileImageMounterImageMapLoadFailed", "the device could not read its list of images"},
		{0x73, "MobileImageMounterImageMoveFailed", "the device could not put the image in its place"},
		{0x74, "MobileImageMounterMountPathMissing", "the folder for the image is missing on the device"},
		{0x75, "MobileImageMounterMountPathNotEmpty", "the folder for the image is not empty on the device"},
		{0x76, "MobileImageMounterImageMountFailed", "the device could not mount the image"},
		{0x77, "MobileImageMounterTrustCacheLoadFailed", "the device could not read what the image vouches for"},
		{0x78, "MobileImageMounterDigestFailed", "the checksum of the image is wrong"},
		{0x79, "MobileImageMounterDigestCreationFailed", "the device could not make a checksum of the image"},
		{0x7A, "MobileImageMounterImageVerificationFailed", "the device does not accept the signature of the image"},
		{0x7B, "MobileImageMounterImageInfoCreationFailed", "the device could not describe the image"},
		{0x7C, "MobileImageMounterImageMapStoreFailed", "the device could not save its list of images"},
	}},
	{"Installing or changing an app", "Look in the program that installs the app for more, then build, sign or load the app anew.", []mobileCause{
		{0x2C, "ProvisioningProfileNotValid", "the provisioning profile is not valid"},
		{0x36, "ApplicationAlreadyInstalledError", "an app of that name is there and cannot be replaced"},
		{0x37, "ApplicationMoveFailedError", "the app could not be put in its place"},
		{0x38, "ApplicationSINFCaptureFailedError", "the app's licence could not be read"},
		{0x39, "ApplicationSandboxFailedError", "the app could not be fenced in"},
		{0x3A, "ApplicationVerificationFailedError", "the app or its signature could not be verified"},
		{0x3B, "ArchiveDestructionFailedError", "the app's archive could not be removed"},
		{0x3C, "BundleVerificationFailedError", "the carrier settings could not be verified"},
		{0x3D, "CarrierBundleCopyFailedError", "the carrier settings could not be copied"},
		{0x3E, "CarrierBundleDirectoryCreationFailedError", "the folder for carrier settings could not be made"},
		{0x3F, "CarrierBundleMissingSupportedSIMsError", "the carrier settings name no SIM they are for"},
		{0x40, "CommCenterNotificationFailedError", "the part of the device that makes calls was not heard from"},
		{0x41, "ContainerCreationFailedError", "the app's folder could not be made"},
		{0x42, "ContainerP0wnFailedError", "the owner of the app's folder could not be set"},
		{0x43, "ContainerRemovalFailedError", "the app's folder could not be removed"},
		{0x44, "EmbeddedProfileInstallFailedError", "the provisioning profile in the app could not be installed"},
		{0x45, "ErrorError", "the device gave no better reason"},
		{0x46, "ExecutableTwiddleFailedError", "the app's program could not be made executable"},
		{0x47, "ExistenceCheckFailedError", "the device could not tell whether the app is there"},
		{0x48, "InstallMapUpdateFailedError", "the device could not change its list of apps"},
		{0x49, "ManifestCaptureFailedError", "the app's list of contents could not be saved"},
		{0x4A, "MapGenerationFailedError", "the device could not make its list of apps"},
		{0x4B, "MissingBundleExecutableError", "the app holds no program"},
		{0x4C, "MissingBundleIdentifierError", "the app has no valid identifier"},
		{0x4D, "MissingBundlePathError", "it is not known where the app is"},
		{0x4E, "MissingContainerError", "the app's folder is missing"},
		{0x4F, "NotificationFailedError", "the device could not announce the change"},
		{0x50, "PackageExtractionFailedError", "the app's package could not be opened"},
		{0x51, "PackageInspectionFailedError", "the app's package could not be looked into"},
		{0x52, "PackageMoveFailedError", "the app's package could not be moved"},
		{0x53, "PathConversionFailedError", "the name of a file could not be understood"},
		{0x54, "RestoreContainerFailedError", "the app's folder could not be brought back"},
		{0x55, "SeatbeltProfileRemovalFailedError", "the app's fence could not be removed"},
		{0x56, "StageCreationFailedError", "the folder for installing could not be made"},
		{0x57, "SymlinkFailedError", "a link could not be made"},
		{0x58, "iTunesArtworkCaptureFailedError", "the app's picture could not be saved"},
		{0x59, "iTunesMetadataCaptureFailedError", "the app's description could not be saved"},
		{0x5A, "AlreadyArchivedError", "the app is archived already"},
		{0x86, "PackagePatchFailedError", "the change to the app could not be applied"},
		{0x87, "IncorrectArchitectureError", "the app is made for another kind of processor"},
		{0x88, "PluginCopyFailedError", "the app's VPN plug-in could not be copied"},
		{0x89, "BreadcrumbFailedError", "the device could not note that it installs"},
		{0x8A, "BreadcrumbUnlockError", "the device could not change its note that it installs"},
		{0x8B, "GeoJSONCaptureFailedError", "the app's regions could not be saved"},
		{0x8C, "NewsstandArtworkCaptureFailedError", "the app's cover could not be saved"},
		{0x8D, "MissingCommandError", "the request did not say what to do"},
		{0x8F, "MissingPackagePathError", "the request did not say where the app's package is"},
		{0x90, "MissingContainerPathError", "the request did not say where the app's folder is"},
		{0x91, "MissingApplicationIdentifierError", "the request did not say which app it is about"},
		{0x92, "MissingAttributeValueError", "the request lacked a value"},
		{0x93, "LookupFailedError", "the device could not list its apps"},
		{0x94, "DictCreationFailedError", "the device could not make sense of the app's requirements"},
		{0x97, "InstallProhibitedError", "the device is set not to allow new apps"},
		{0x98, "UninstallProhibitedError", "the device is set not to allow apps to be removed"},
		{0x9C, "MissingBundleVersionError", "the app has no version"},
		{0x9D, "AppBlacklistedError", "the app is not allowed on this device"},
		{0xBE, "MismatchedApplicationIdentifierEntitlementError", "the app's identifier is not the one that is installed"},
		{0xBF, "InvalidSymlinkError", "the app holds a link that leads nowhere or out of it"},
	}},
}
